//! Properties as a text of `name: value` lines.

/// The lines of a text; what is no such line is left out. `\n` and `\0` in a value stand for a line
/// break and a zero byte.
pub fn read(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.replace("\\n", "\n").replace("\\0", "\0")))
    };
    text.lines().filter_map(pair).collect()
}
