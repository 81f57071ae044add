//! What happened in the directory: audits, provisioning, alerts.

use std::fmt::{self, Write as _};

use super::{
    super::{
        chance::{Purpose, draws, guid},
        feed::{Event, Feed},
    },
    people::{address, someone},
};

/// Writes a directory audit, but for its end.
pub(super) fn write_audit(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let (by, on) = (someone(feed.seed(), rng), someone(feed.seed(), rng));
    let (category, activity, operation) = ACTIVITIES[rng.usize(..ACTIVITIES.len())];
    let result = if rng.u8(..) < 240 { "success" } else { "failure" };
    write!(
        out,
        r#"{{"id":"{}","category":"{category}","correlationId":"{}","result":"{result}","resultReason":"","activityDisplayName":"{activity}","activityDateTime":"{:.7}","loggedByService":"Core Directory","operationType":"{operation}""#,
        feed.id(event.number),
        guid(rng),
        event.happened,
    )?;
    write!(
        out,
        r#","initiatedBy":{{"app":null,"user":{{"id":"{}","displayName":null,"userPrincipalName":"{}","ipAddress":"{}"}}}}"#,
        by.id,
        by.mail,
        address(rng),
    )?;
    write!(
        out,
        r#","targetResources":[{{"id":"{}","displayName":"{} {}","type":"User","userPrincipalName":"{}","modifiedProperties":[]}}],"additionalDetails":[]"#,
        on.id, on.given, on.family, on.mail,
    )
}

/// Writes a provisioning event, but for its end.
pub(super) fn write_provisioning(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let person = someone(feed.seed(), rng);
    let action = ["create", "update", "disable", "other"][rng.usize(..4)];
    let status = if rng.u8(..) < 230 { "success" } else { "failure" };
    write!(
        out,
        r#"{{"id":"{}","activityDateTime":"{:.7}","tenantId":"{}","jobId":"simulator.{}","cycleId":"{}","changeId":"{}","provisioningAction":"{action}","durationInMilliseconds":{}"#,
        feed.id(event.number),
        event.happened,
        guid(&mut draws(feed.seed(), 0, Purpose::Fields)),
        rng.u16(..),
        guid(rng),
        guid(rng),
        rng.u16(..5000),
    )?;
    write!(
        out,
        r#","provisioningStatusInfo":{{"status":"{status}","errorInformation":null}},"initiatedBy":{{"id":"","displayName":"Azure AD Provisioning Service","initiatorType":"system"}},"sourceIdentity":{{"id":"{}","displayName":"{} {}","identityType":"User"}},"targetIdentity":{{"id":"{}","displayName":"","identityType":"User"}}"#,
        person.id, person.given, person.family, person.mail,
    )
}

/// Writes an alert, but for its end.
pub(super) fn write_alert(out: &mut String, feed: &Feed, event: &Event) -> fmt::Result {
    let rng = &mut draws(feed.seed(), event.number, Purpose::Fields);
    let person = someone(feed.seed(), rng);
    let (title, category) = ALERTS[rng.usize(..ALERTS.len())];
    let severity = ["informational", "low", "medium", "high"][rng.usize(..4)];
    write!(
        out,
        r#"{{"id":"{}","providerAlertId":"{}","incidentId":"{}","status":"new","severity":"{severity}","classification":null,"determination":null,"serviceSource":"azureAdIdentityProtection","title":"{title}","category":"{category}""#,
        feed.id(event.number),
        guid(rng),
        rng.u16(..),
    )?;
    write!(
        out,
        r#","createdDateTime":"{0:.7}","lastUpdateDateTime":"{0:.7}","firstActivityDateTime":"{0:.7}","lastActivityDateTime":"{0:.7}","evidence":[{{"@odata.type":"microsoft.graph.security.userEvidence","verdict":"suspicious","userAccount":{{"userPrincipalName":"{1}","azureAdUserId":"{2}"}}}}]"#,
        event.happened, person.mail, person.id,
    )
}

/// Category, name, type of operation.
const ACTIVITIES: [(&str, &str, &str); 6] = [
    ("UserManagement", "Add user", "Add"),
    ("UserManagement", "Reset user password", "Update"),
    ("GroupManagement", "Add member to group", "Assign"),
    ("RoleManagement", "Add eligible member to role", "Assign"),
    ("ApplicationManagement", "Update application", "Update"),
    ("Policy", "Update conditional access policy", "Update"),
];

/// Title and category.
const ALERTS: [(&str, &str); 4] = [
    ("Unfamiliar sign-in properties", "InitialAccess"),
    ("Atypical travel", "InitialAccess"),
    ("Password spray", "CredentialAccess"),
    ("Suspicious inbox manipulation rule", "Persistence"),
];
