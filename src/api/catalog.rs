//! The built-in definitions, compiled in.

use once_cell::sync::Lazy;

use super::Definition;

/// Name and YAML text of each, in the order in which they are listed.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("entra_signins", include_str!("../../conf/apis/entra_signins.yaml")),
    (
        "entra_signins_noninteractive",
        include_str!("../../conf/apis/entra_signins_noninteractive.yaml"),
    ),
    (
        "entra_signins_service_principal",
        include_str!("../../conf/apis/entra_signins_service_principal.yaml"),
    ),
    (
        "entra_signins_managed_identity",
        include_str!("../../conf/apis/entra_signins_managed_identity.yaml"),
    ),
    ("entra_directory_audits", include_str!("../../conf/apis/entra_directory_audits.yaml")),
    ("entra_provisioning", include_str!("../../conf/apis/entra_provisioning.yaml")),
    ("graph_security_alerts", include_str!("../../conf/apis/graph_security_alerts.yaml")),
    ("o365_management", include_str!("../../conf/apis/o365_management.yaml")),
    ("aad_graph_signins", include_str!("../../conf/apis/aad_graph_signins.yaml")),
    ("okta_system_log", include_str!("../../conf/apis/okta_system_log.yaml")),
];

static PARSED: Lazy<Vec<Definition>> = Lazy::new(|| {
    let parse = |(name, yaml): &(&str, &str)| {
        Definition::parse(yaml).unwrap_or_else(|error| panic!("conf/apis/{name}.yaml: {error}"))
    };
    BUILT_IN.iter().map(parse).collect()
});

/// The built-in definition of a name.
pub fn find(name: &str) -> Option<&'static Definition> {
    PARSED.iter().find(|definition| definition.name == name)
}

/// The names of all, for messages.
pub fn names() -> String {
    BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_under_its_own_name() {
        for (name, _) in BUILT_IN {
            assert!(find(name).is_some(), "{name}");
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/apis")).unwrap();
        assert_eq!(files.count(), BUILT_IN.len());
    }
}
