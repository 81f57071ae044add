//! MessagePack, read one value at a time: as much of it as records are made of.

/// What stands in front.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Double(f64),
    Text(&'a str),
    /// So many values follow.
    Array(u32),
    /// So many pairs follow.
    Map(u32),
    /// Type and contents.
    Extension(u8, &'a [u8]),
}

/// The value that the bytes begin with, or the head of it. Cuts it off.
///
/// # Panics
/// If there is none: what the encoder writes is whole.
pub fn next<'a>(rest: &mut &'a [u8]) -> Head<'a> {
    let marker = take(rest, 1)[0];
    match marker {
        0x00..=0x7f => Head::Unsigned(marker.into()),
        0x80..=0x8f => Head::Map(u32::from(marker & 0x0f)),
        0x90..=0x9f => Head::Array(u32::from(marker & 0x0f)),
        0xa0..=0xbf => text(rest, u64::from(marker & 0x1f)),
        0xc0 => Head::Nil,
        0xc2 => Head::Bool(false),
        0xc3 => Head::Bool(true),
        0xcb => Head::Double(f64::from_bits(number(rest, 8))),
        0xcc => Head::Unsigned(number(rest, 1)),
        0xcd => Head::Unsigned(number(rest, 2)),
        0xce => Head::Unsigned(number(rest, 4)),
        0xcf => Head::Unsigned(number(rest, 8)),
        0xd0 => Head::Signed(i64::from(number(rest, 1) as u8 as i8)),
        0xd1 => Head::Signed(i64::from(number(rest, 2) as u16 as i16)),
        0xd2 => Head::Signed(i64::from(number(rest, 4) as u32 as i32)),
        0xd3 => Head::Signed(number(rest, 8) as i64),
        0xd7 => {
            let kind = take(rest, 1)[0];
            Head::Extension(kind, take(rest, 8))
        }
        0xd9 => length(rest, 1, text),
        0xda => length(rest, 2, text),
        0xdb => length(rest, 4, text),
        0xdc => Head::Array(number(rest, 2) as u32),
        0xdd => Head::Array(number(rest, 4) as u32),
        0xde => Head::Map(number(rest, 2) as u32),
        0xdf => Head::Map(number(rest, 4) as u32),
        0xe0..=0xff => Head::Signed(i64::from(marker as i8)),
        _ => panic!("a marker that no record has: {marker:#x}"),
    }
}

fn length<'a>(
    rest: &mut &'a [u8],
    bytes: usize,
    read: fn(&mut &'a [u8], u64) -> Head<'a>,
) -> Head<'a> {
    let length = number(rest, bytes);
    read(rest, length)
}

fn text<'a>(rest: &mut &'a [u8], length: u64) -> Head<'a> {
    let bytes = take(rest, usize::try_from(length).expect("fits memory"));
    Head::Text(std::str::from_utf8(bytes).expect("a string is UTF-8"))
}

fn number(rest: &mut &[u8], bytes: usize) -> u64 {
    take(rest, bytes).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at_checked(count).expect("a value is whole");
    *rest = left;
    taken
}
