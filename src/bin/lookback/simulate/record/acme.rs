//! Records of the API that is none in particular: its time in many forms.

use std::fmt::{self, Write as _};

use super::super::feed::{Event, Feed};

/// Writes a record, but for its end.
pub(super) fn write_fields(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let at = event.happened;
    write!(
        out,
        r#"{{"id":"{}","seq":{},"at":"{at:.7}","ts":{},"ms":{},"local":"{}","host":"{}""#,
        feed.id(event.number),
        event.number,
        at.as_second(),
        at.as_millisecond(),
        at.strftime("%d/%m/%Y %H:%M:%S"),
        ["alpha", "beta", "gamma"][(event.number % 3) as usize],
    )
}
