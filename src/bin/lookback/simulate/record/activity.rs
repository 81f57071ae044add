//! Records of the activity feed.

use std::fmt::{self, Write as _};

use super::{
    super::{
        chance::{Purpose, draws, guid},
        feed::{Event, Feed},
        kind::content_type,
        units::whole_seconds,
    },
    people::{address, someone},
};

/// Writes a record, but for its end.
pub(super) fn write_fields(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let person = someone(feed.seed(), rng);
    let (workload, operations) = WORKLOADS[content_type(event.number)];
    let time = format!("{:.0}", whole_seconds(event.happened));
    write!(
        out,
        r#"{{"CreationTime":"{}","Id":"{}","Operation":"{}","OrganizationId":"{}","RecordType":{},"ResultStatus":"Success","UserKey":"{}","UserType":0,"Version":1,"Workload":"{workload}","ClientIP":"{}","UserId":"{}""#,
        // Without a zone.
        time.trim_end_matches('Z'),
        feed.id(event.number),
        operations[rng.usize(..operations.len())],
        guid(&mut draws(feed.seed(), 0, Purpose::Fields)),
        content_type(event.number) + 1,
        person.id,
        address(rng),
        person.mail,
    )
}

/// By content type.
const WORKLOADS: [(&str, [&str; 3]); 5] = [
    ("AzureActiveDirectory", ["UserLoggedIn", "UserLoginFailed", "Update user."]),
    ("Exchange", ["MailItemsAccessed", "New-InboxRule", "Send"]),
    ("SharePoint", ["FileAccessed", "FileDownloaded", "SharingSet"]),
    ("MicrosoftTeams", ["MessageSent", "MemberAdded", "TeamsSessionStarted"]),
    ("Exchange", ["DlpRuleMatch", "DlpRuleUndo", "DlpInfo"]),
];
