//! Whether what is printed is seen on a terminal.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};

/// Whether someone sees colours on standard output, and wants to.
pub(crate) fn wants_colour() -> bool {
    let [no_color, term] = ["NO_COLOR", "TERM"].map(std::env::var_os);
    io::stdout().is_terminal() && allows_colour(no_color.as_deref(), term.as_deref())
}

/// What the environment of a terminal says: <https://no-color.org>. A terminal that does not name itself has colours.
fn allows_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_where_the_environment_says_so() {
        for (no_color, term, expected) in [
            (None, None, true),
            (None, Some("xterm"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (None, Some("dumb"), false),
        ] {
            let allows = allows_colour(no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(allows, expected, "{no_color:?} {term:?}");
        }
    }
}
