//! Compressed bodies: never more than is allowed, and the same as another decompressor's.
//!
//! The first byte is the limit in units of 256 bytes. What is no gzip is also tried as the contents of one.

#![no_main]

use std::io::{ErrorKind, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use in_lookback::inflate::{InflateError, Inflater};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((limit, body)) = data.split_first() else { return };
    let max = usize::from(*limit) * 256;
    let _ = check(body, max);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("memory takes it");
    let packed = encoder.finish().expect("memory takes it");
    let result = check(&packed, max);
    assert_eq!(result.is_ok(), body.len() <= max, "{result:?}");
});

fn check(body: &[u8], max: usize) -> Result<(), InflateError> {
    let mut to = Vec::new();
    let result = Inflater::new().gunzip(body, &mut to, max);
    assert!(to.len() <= max + 1, "{} bytes", to.len());
    let mut expected = Vec::new();
    let read = MultiGzDecoder::new(body).take(max as u64 + 1).read_to_end(&mut expected);
    if result.is_ok() {
        assert!(to.len() <= max);
        match read {
            Ok(_) => assert!(to == expected, "{} bytes, not {}", to.len(), expected.len()),
            // One finds fault with it and the other does not: with the stream, though the checksum is right, or with
            // what stands behind the last member, is no beginning of another one, and ends like a member.
            Err(error) => {
                let faults = [ErrorKind::InvalidInput, ErrorKind::UnexpectedEof];
                assert!(faults.contains(&error.kind()), "{error}");
                assert!(to.starts_with(&expected), "{} bytes, not {}", to.len(), expected.len());
            }
        }
    }
    result
}
