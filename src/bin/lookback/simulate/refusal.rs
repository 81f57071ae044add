//! Refusals, in each API's own words.

use serde_json::{Value, json};

use super::{api::Api, reply::Reply};

/// Why a request is refused, where every API has its words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The service is down.
    Unavailable,
    /// Too many requests.
    TooMany,
    /// It went wrong inside.
    Broken,
    /// A next link that is no good, or no longer.
    DeadLink,
    /// No token, or a bad one.
    Unauthorized,
}

/// The refusal of a request for a reason that all APIs know.
pub(crate) fn refuse(api: Api, why: Why) -> Reply {
    let status = match why {
        Why::Unavailable => 503,
        Why::TooMany => 429,
        Why::Broken => 500,
        Why::DeadLink => 400,
        Why::Unauthorized => 401,
    };
    let (code, message) = words(api, why);
    let reply = refusal(api, status, code, message);
    match why {
        Why::Unauthorized => reply.with("www-authenticate", challenge(api).to_owned()),
        _ => reply,
    }
}

/// A refusal in the API's own shape.
pub(crate) fn refusal(api: Api, status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &error(api, status, code, message))
}

fn error(api: Api, status: u16, code: &str, message: &str) -> Value {
    match api {
        Api::Aad => {
            json!({"odata.error": {"code": code, "message": {"lang": "en", "value": message}}})
        }
        Api::Activity => json!({"error": {"code": code, "message": message}}),
        Api::Okta => json!({
            "errorCode": code,
            "errorSummary": message,
            "errorLink": code,
            "errorId": "oaeSimulator",
            "errorCauses": [],
        }),
        Api::Github => json!({
            "message": message,
            "documentation_url": "https://docs.github.com/rest/orgs/orgs",
            "status": status.to_string(),
        }),
        Api::Acme => json!({"error": code, "message": message}),
        _ => json!({"error": {"code": code, "message": message, "innerError": {}}}),
    }
}

/// Code and message.
fn words(api: Api, why: Why) -> (&'static str, &'static str) {
    match api {
        Api::Activity => match why {
            Why::Unavailable => ("AF50000", "The service is unavailable."),
            Why::TooMany => ("AF429", "Too many requests. Method=GetBlobs"),
            Why::Broken => ("AF50000", "An internal error occurred. Retry the request."),
            Why::DeadLink => ("AF20031", "Invalid nextPage Input."),
            Why::Unauthorized => ("AF10001", "The permission set sent in the request is invalid."),
        },
        Api::Okta => match why {
            Why::Unavailable => ("E0000127", "The service is unavailable."),
            Why::TooMany => ("E0000047", "API call exceeded rate limit due to too many requests."),
            Why::Broken => ("E0000009", "Internal Server Error"),
            Why::DeadLink => ("E0000031", "Invalid search criteria."),
            Why::Unauthorized => ("E0000011", "Invalid token provided"),
        },
        Api::Github => match why {
            Why::Unavailable => ("", "Service Unavailable"),
            Why::TooMany => ("", "You have exceeded a secondary rate limit."),
            Why::Broken => ("", "Server Error"),
            Why::DeadLink => ("", "The cursor is invalid."),
            Why::Unauthorized => ("", "Bad credentials"),
        },
        Api::Acme => match why {
            Why::Unavailable => ("unavailable", "The service is unavailable."),
            Why::TooMany => ("too_many_requests", "Slow down."),
            Why::Broken => ("internal", "Something went wrong."),
            Why::DeadLink => ("bad_cursor", "The cursor is invalid or expired."),
            Why::Unauthorized => ("unauthorized", "No valid credentials."),
        },
        _ => match why {
            Why::Unavailable => ("ServiceNotAvailable", "The service is unavailable."),
            Why::TooMany => ("TooManyRequests", "Too many requests."),
            Why::Broken => ("InternalServerError", "An unexpected error occurred."),
            Why::DeadLink => (
                "Directory_ExpiredPageToken",
                "The specified page token is either invalid or expired.",
            ),
            Why::Unauthorized => {
                ("InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
            }
        },
    }
}

fn challenge(api: Api) -> &'static str {
    match api {
        Api::Okta => "SSWS",
        _ => "Bearer",
    }
}
