//! Moments: what is written can be read again, to the grain of the format.
//!
//! A format, a line break, a text that may be a moment.

#![no_main]

use in_lookback::model::{TimeFormat, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (format, text) = text.split_once('\n').unwrap_or(("rfc3339", &text));
    let Ok(format) = TimeFormat::parse(format) else { return };
    let Some(moment) = format.read(text) else { return };
    // At the ends of what a timestamp can hold, a whole second may not fit.
    if !(i64::MIN / 2..i64::MAX / 2).contains(&moment.as_nanos()) {
        return;
    }
    let again = format.read(&format.show(moment));
    match format {
        TimeFormat::Rfc3339 => assert_eq!(again, Some(moment)),
        TimeFormat::Seconds => assert_eq!(again, Some(moment.floor_secs())),
        TimeFormat::Milliseconds => {
            let floor = moment.as_nanos().div_euclid(1_000_000) * 1_000_000;
            assert_eq!(again, Some(Timestamp::from_nanos(floor)));
        }
        // A pattern may leave anything out.
        TimeFormat::Pattern(_) => {}
    }
});
