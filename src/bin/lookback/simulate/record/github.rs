//! Entries of an organisation's audit log.

use std::fmt::{self, Write as _};

use super::{
    super::{
        chance::{Purpose, draws},
        feed::{Event, Feed},
    },
    people::{address, someone},
};

/// Writes an entry, but for its end.
pub(super) fn write_fields(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let person = someone(feed.seed(), rng);
    write!(
        out,
        r#"{{"@timestamp":{0},"_document_id":"{1}","action":"{2}","actor":"{3}","actor_id":{4},"actor_ip":"{5}","created_at":{0},"org":"contoso","repo":"contoso/service-{6}","operation_type":"modify""#,
        event.happened.as_millisecond(),
        feed.id(event.number),
        ACTIONS[rng.usize(..ACTIONS.len())],
        person.mail.split('@').next().unwrap_or_default().replace('.', "-"),
        rng.u32(..),
        address(rng),
        rng.u8(..),
    )
}

const ACTIONS: [&str; 6] = [
    "git.push",
    "repo.create",
    "team.add_member",
    "org.update_member",
    "protected_branch.policy_override",
    "workflows.completed_workflow_run",
];
