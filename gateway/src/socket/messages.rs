//! What is said over a socket.
//!
//! Invariant: a message of a client that is not one of these is answered, by name of the field at fault, and changes nothing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::problem::{FieldFault, Problem};

/// What a client says.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub(super) enum Said {
    /// It wants a pet's updates, after the last one that it saw.
    Subscribe {
        pet_id: String,
        #[serde(default)]
        last_event_id: Option<String>,
    },
    /// No more of them.
    Unsubscribe { pet_id: String },
}

/// What it is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Told<'a> {
    /// Updates come from now on.
    Subscribed { pet_id: &'a str },
    /// An update: the message that the pet's stream has.
    Update { pet_id: &'a str, update: &'a RawValue },
    /// Updates were left out, because the client took them too slowly. Whoever wants them subscribes again, after the last one that
    /// they saw.
    Resync { pet_id: &'a str },
    /// No updates come any more, where a problem is told because of it.
    Unsubscribed {
        pet_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<&'a RawValue>,
    },
    /// So many accounts look at the pet, this one among them.
    Presence { pet_id: &'a str, watching: usize },
    /// What the client said cannot be done.
    Error { problem: &'a RawValue },
}

impl Told<'_> {
    pub(super) fn text(&self) -> String {
        // Nothing in it can fail: no map with keys that are no strings, no number that is none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Reads what a client says.
pub(super) fn read(text: &str) -> Result<Said, Problem> {
    let said: Said = serde_json::from_str(text).map_err(|error| {
        let reason = if error.is_data() {
            "must be {\"type\":\"SUBSCRIBE\",\"pet_id\":…} or {\"type\":\"UNSUBSCRIBE\",\"pet_id\":…}"
                .to_owned()
        } else {
            format!("is not JSON: {error}")
        };
        Problem::malformed_json(vec![FieldFault::new("message", reason)])
    })?;
    let (Said::Subscribe { pet_id, .. } | Said::Unsubscribe { pet_id }) = &said;
    if pet_id.is_empty() || pet_id.len() > 64 || pet_id.contains('\0') {
        return Err(Problem::invalid(vec![FieldFault::new("pet_id", "must be a pet's id")]));
    }
    Ok(said)
}

/// A problem as it is told.
pub(super) fn raw(problem: &Problem, request_id: &str) -> Box<RawValue> {
    let json = String::from_utf8(problem.json(request_id).to_vec()).unwrap_or_default();
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An update out of a line of a pet's stream; `None` of a line that is none.
pub(super) fn update(pet_id: &str, line: &Bytes) -> Option<String> {
    let update: &RawValue = serde_json::from_slice(line).ok()?;
    Some(Told::Update { pet_id, update }.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_names_what_is_wrong() {
        let subscribe = r#"{"type":"SUBSCRIBE","pet_id":"p-1","last_event_id":"7"}"#;
        let said = Said::Subscribe { pet_id: "p-1".to_owned(), last_event_id: Some("7".to_owned()) };
        assert_eq!(read(subscribe).unwrap(), said);
        for (text, field) in [
            ("", "message"),
            ("[]", "message"),
            (r#"{"type":"SUBSCRIBE"}"#, "message"),
            (r#"{"type":"SUBSCRIBE","pet_id":"p-1","more":1}"#, "message"),
            (r#"{"type":"subscribe","pet_id":"p-1"}"#, "message"),
            (r#"{"type":"UNSUBSCRIBE","pet_id":""}"#, "pet_id"),
            (r#"{"type":"UNSUBSCRIBE","pet_id":"\u0000"}"#, "pet_id"),
        ] {
            assert_eq!(read(text).unwrap_err().errors[0].field, field, "{text}");
        }
    }

    #[test]
    fn an_update_is_the_streams_own_message() {
        let line = Bytes::from_static(b"{\"id\":\"7\",\"type\":\"READY\"}\n");
        let text = update("p-1", &line).unwrap();
        assert_eq!(text, r#"{"type":"UPDATE","pet_id":"p-1","update":{"id":"7","type":"READY"}}"#);
        assert_eq!(update("p-1", &Bytes::from_static(b"\n")), None, "a heartbeat");
        let problem = raw(&Problem::overloaded(), "r-1");
        let text = Told::Unsubscribed { pet_id: "p-1", problem: Some(&problem) }.text();
        assert!(
            text.contains("\"code\":\"OVERLOADED\"") && text.contains("\"request_id\":\"r-1\""),
            "{text}"
        );
    }
}
