//! Texts that others wrote, made fit to be shown: an event must not be able to steer a terminal, or to turn
//! around the text beside it.

/// At most so many characters of a text, the rest an ellipsis; what cannot be seen is written as an escape.
pub(crate) fn plain(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut left = chars_max;
    for c in text.chars() {
        if left == 0 {
            out.push('…');
            break;
        }
        left -= 1;
        if is_hidden(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Control characters, and those that only change how others are shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
}

/// A count with its thousands set apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time, in the unit that fits.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.0995 => format!("{:.0} ms", s * 1_000.0),
        s if s < 99.5 => format!("{s:.1} s"),
        s if s < 5_970.0 => format!("{:.1} min", s / 60.0),
        s if s < 48.0 * 3_600.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_turns_text_around_is_shown_as_an_escape() {
        for (text, shown) in [
            ("plain", "plain"),
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
            ("a\nb", "a\\u{a}b"),
            ("\u{202e}gpj", "\\u{202e}gpj"),
            ("zürich…", "zürich…"),
            ("0123456789ab", "0123456789…"),
        ] {
            assert_eq!(plain(text, 10), shown, "{text:?}");
        }
    }

    #[test]
    fn counts_and_spans_are_easy_to_read() {
        let counts = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let spans = [0.02, 4.0, 90.0, 3_600.0, 86_400.0, 864_000.0].map(span);
        assert_eq!(spans, ["20 ms", "4.0 s", "90.0 s", "60.0 min", "24.0 h", "10.0 d"]);
    }
}
