//! Definitions: a YAML text is refused in one line, or describes an API that can be asked.

#![no_main]

use in_lookback::api::Definition;
use in_lookback::api::definition::Auth;
use in_lookback::api::page::{PageReader, Response};
use in_lookback::config::{Plan, Raw};
use in_lookback::model::Timestamp;
use libfuzzer_sys::fuzz_target;
use lookback_fuzz::drive::drive;

fuzz_target!(|data: &[u8]| {
    let Ok(yaml) = std::str::from_utf8(data) else { return };
    let definition = match Definition::parse(yaml) {
        Ok(definition) => definition,
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty() && !shown.contains('\n'), "{shown}");
            return;
        }
    };
    if let Ok(reader) = PageReader::new(&definition, [7; 16]) {
        read(&reader);
    }
    let mut raw = Raw::default();
    raw.set("tenant", "contoso");
    for (name, parameter) in &definition.parameters {
        if parameter.default.is_none() {
            raw.set(name, "a, b");
        }
    }
    match definition.auth {
        Auth::OAuth2 { .. } => {
            raw.set("client_id", "app");
            raw.set("certificate_file", "/c.pem");
        }
        Auth::None => {}
        _ => raw.set("token", "me:hunter2"),
    }
    if let Ok(plan) = Plan::new(&raw, definition) {
        drive(plan, data);
    }
});

/// Its answers can be read, or are refused.
fn read(reader: &PageReader) {
    let now = Timestamp::from_secs(1_800_000_000);
    for body in ["", "[]", r#"{"value":[{"id":"1","at":"2026-01-01T00:00:00Z"}]}"#, "{}\n{}"] {
        let response = Response { status: 200, body: body.into(), ..Response::default() };
        let _ = reader.page(&response, now);
        let _ = reader.listing(&response);
        let _ = reader.blob(&response, now, now);
        let _ = reader.subscriptions(&response);
    }
}
