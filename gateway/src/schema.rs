//! What a request message looks like, as far as reading it from JSON and from a query needs to know.
//!
//! Generated from the descriptors (`build.rs`). Invariant: `request_id` is in no schema, so that nobody outside can state
//! it: the gateway makes it of the caller and the Idempotency-Key.

/// A message.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Its fields, in the proto's order.
    pub(crate) fields: &'static [Field],
    /// Whether a map is in it, whose keys its own reader would not miss twice.
    pub(crate) has_map: bool,
}

impl Schema {
    /// The field of this name, in either spelling.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name || field.json == name)
    }
}

/// A field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name in the proto: the one that errors use.
    pub(crate) name: &'static str,
    /// Its lowerCamelCase name.
    pub(crate) json: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whether it holds several.
    pub(crate) repeated: bool,
    /// The oneof whose member it is.
    pub(crate) oneof: Option<&'static str>,
}

/// What a field holds. Some kinds no request of ours has had yet; the generator knows them all.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "which kinds are made depends on the protos"))]
pub(crate) enum Kind {
    Text,
    Bool,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Number,
    Bytes,
    Time,
    Duration,
    /// Names of fields.
    Mask,
    Enum(&'static [(&'static str, i32)]),
    Message(&'static Schema),
    /// By name.
    Map(&'static Kind),
    /// Any JSON object.
    Object,
    /// Any JSON array.
    Array,
    /// Any JSON.
    Json,
}
