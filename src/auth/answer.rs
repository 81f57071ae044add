//! A login service's answer, in the dialects of version 1 and 2 of OAuth.

use std::time::Duration;

use crate::api::page::{self, Failure, FailureKind, Response};
use crate::config::Secret;
use crate::json::{self, Pointer, Scalar};
use crate::model::Timestamp;
use crate::poll::tokens::Grant;

/// What a token is good for if the service does not say.
const LIFE_DEFAULT: Duration = Duration::from_secs(3_600);

/// A longer token is refused.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// The token in an answer.
///
/// # Errors
/// The status and the service's code, or that the answer holds no token.
pub fn grant(response: &Response, now: Timestamp) -> Result<Grant, Failure> {
    if let Some(failure) = page::failure(response, None, now) {
        return Err(failure);
    }
    let text = std::str::from_utf8(&response.body).unwrap_or("");
    let scalar = |name: &str| json::find(text, &Pointer::parse(name).ok()?).ok().flatten();
    let token = match scalar("/access_token") {
        Some(Scalar::Str(token)) if is_token(&token) => Secret::new(token.into_owned()),
        _ => {
            let error = "the login service's answer holds no access_token".to_owned();
            return Err(Failure { kind: FailureKind::Transient, status: response.status, error });
        }
    };
    let seconds = match scalar("/expires_in") {
        Some(Scalar::Str(text)) => text.parse().ok(),
        Some(Scalar::Number(text)) => text.parse().ok(),
        _ => None,
    };
    Ok(Grant { token, expires_in: seconds.map_or(LIFE_DEFAULT, Duration::from_secs) })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOKEN_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Grant, Failure> {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        grant(&response, Timestamp::from_secs(0))
    }

    #[test]
    fn both_dialects_of_an_answer_are_read() {
        for body in [
            r#"{"token_type":"Bearer","expires_in":600,"access_token":"abc"}"#,
            r#"{"token_type":"Bearer","expires_in":"600","access_token":"abc"}"#,
        ] {
            let grant = answer(200, body).unwrap();
            assert_eq!((grant.token.expose(), grant.expires_in.as_secs()), ("abc", 600));
        }
    }

    #[test]
    fn an_answer_without_a_token_is_a_failure() {
        for body in ["{}", "", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#] {
            assert_eq!(answer(200, body).unwrap_err().kind, FailureKind::Transient, "{body}");
        }
        let denied = answer(401, r#"{"error":"invalid_client","error_description":"secret"}"#);
        assert_eq!(denied.unwrap_err().error, "invalid_client");
    }
}
