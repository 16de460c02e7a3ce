//! The schema and the walk of each message that is reachable from a request, and names as Rust has them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::policies::shout;

/// The code of each message, by full name.
pub(crate) struct Messages {
    /// The crate or module whose modules the packages are.
    pub(crate) root: &'static str,
    pub(crate) code: BTreeMap<String, String>,
}

impl Messages {
    /// The schema and the walk of a message and of what it holds.
    pub(crate) fn message(&mut self, message: &MessageDescriptor) -> Result<()> {
        if self.code.contains_key(message.full_name()) {
            return Ok(());
        }
        // Taken now, so that a message that holds itself ends the recursion.
        self.code.insert(message.full_name().to_owned(), String::new());
        let mut fields = String::new();
        let mut walk = String::new();
        for field in message.fields() {
            let name = field.name();
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            if oneof.is_none() && !is_bytes(&field) {
                writeln!(walk, "walk.field({name:?}, &self.{});", ident(name))?;
            }
            if name == "request_id" {
                continue;
            }
            let kind = self.kind(&field).with_context(|| field.full_name().to_owned())?;
            let oneof = oneof.map(|oneof| oneof.name().to_owned());
            writeln!(
                fields,
                "Field {{ name: {name:?}, json: {:?}, kind: {kind}, repeated: {}, oneof: {oneof:?} }},",
                field.json_name(),
                field.is_list()
            )?;
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let of = format!("{}::{}", self.inner(message), camel(oneof.name()));
            let arms = oneof.fields().map(|field| {
                let variant = camel(field.name());
                if is_bytes(&field) {
                    format!("Some({of}::{variant}(_)) => {{}} ")
                } else {
                    format!("Some({of}::{variant}(value)) => walk.field({:?}, value), ", field.name())
                }
            });
            let arms: String = arms.collect();
            writeln!(walk, "match &self.{} {{ {arms}None => {{}} }}", ident(oneof.name()))?;
        }
        let parameter = if walk.is_empty() { "_" } else { "walk" };
        let code = format!(
            "static {}: Schema = Schema {{ fields: &[{fields}], has_map: {} }};\n\
             impl Sound for {} {{ fn check(&self, {parameter}: &mut Walk) {{ {walk} }} }}\n",
            schema_name(message),
            has_map(message, &mut BTreeSet::new()),
            self.path(message)
        );
        self.code.insert(message.full_name().to_owned(), code);
        Ok(())
    }

    fn kind(&mut self, field: &FieldDescriptor) -> Result<String> {
        if let Some((key, value)) = entry(field) {
            ensure!(matches!(key.kind(), Kind::String), "maps go by names");
            return Ok(format!("Kind::Map(&{})", self.kind(&value)?));
        }
        Ok(match field.kind() {
            Kind::String => "Kind::Text".to_owned(),
            Kind::Bool => "Kind::Bool".to_owned(),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "Kind::Int32".to_owned(),
            Kind::Uint32 | Kind::Fixed32 => "Kind::Uint32".to_owned(),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "Kind::Int64".to_owned(),
            Kind::Uint64 | Kind::Fixed64 => "Kind::Uint64".to_owned(),
            Kind::Double | Kind::Float => "Kind::Number".to_owned(),
            Kind::Bytes => "Kind::Bytes".to_owned(),
            Kind::Enum(values) => {
                ensure!(values.full_name().starts_with("petty."), "{} is not ours", values.full_name());
                format!("Kind::Enum({})", enum_values(&values))
            }
            Kind::Message(message) => match message.full_name().strip_prefix("google.protobuf.") {
                Some(known) => well_known(known)?.to_owned(),
                None => {
                    ensure!(message.full_name().starts_with("petty."), "{} is not ours", message.full_name());
                    self.message(&message)?;
                    format!("Kind::Message(&{})", schema_name(&message))
                }
            },
        })
    }

    /// A message's type.
    pub(crate) fn path(&self, message: &MessageDescriptor) -> String {
        match message.full_name().strip_prefix("google.protobuf.") {
            Some(known) => format!("petty_proto::wkt::{known}"),
            None => format!("{}::{}", self.outer(message), message.name()),
        }
    }

    /// The module that it is in.
    fn outer(&self, message: &MessageDescriptor) -> String {
        match message.parent_message() {
            Some(outer) => self.inner(&outer),
            None => {
                let package =
                    message.parent_file().package_name().replacen("petty.", "", 1).replace('.', "::");
                format!("{}::{package}", self.root)
            }
        }
    }

    /// The module of what is in it.
    fn inner(&self, message: &MessageDescriptor) -> String {
        format!("{}::{}", self.outer(message), shout(message.name()).to_ascii_lowercase())
    }
}

/// What the JSON of a well-known type is.
fn well_known(name: &str) -> Result<&'static str> {
    Ok(match name {
        "Timestamp" => "Kind::Time",
        "Duration" => "Kind::Duration",
        "FieldMask" => "Kind::Mask",
        "Struct" => "Kind::Object",
        "ListValue" => "Kind::Array",
        "Value" => "Kind::Json",
        "Empty" => "Kind::Message(&Schema { fields: &[], has_map: false })",
        "BoolValue" => "Kind::Bool",
        "BytesValue" => "Kind::Bytes",
        "DoubleValue" | "FloatValue" => "Kind::Number",
        "Int32Value" => "Kind::Int32",
        "Int64Value" => "Kind::Int64",
        "StringValue" => "Kind::Text",
        "UInt32Value" => "Kind::Uint32",
        "UInt64Value" => "Kind::Uint64",
        other => bail!("google.protobuf.{other} has no translation"),
    })
}

pub(crate) fn enum_values(values: &prost_reflect::EnumDescriptor) -> String {
    let values: Vec<String> =
        values.values().map(|value| format!("({:?}, {})", value.name(), value.number())).collect();
    format!("&[{}]", values.join(", "))
}

/// Key and value of a map.
fn entry(field: &FieldDescriptor) -> Option<(FieldDescriptor, FieldDescriptor)> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            Some((entry.map_entry_key_field(), entry.map_entry_value_field()))
        }
        _ => None,
    }
}

/// Whether nothing in it could be unsound.
fn is_bytes(field: &FieldDescriptor) -> bool {
    let kind = entry(field).map_or_else(|| field.kind(), |(_, value)| value.kind());
    matches!(kind, Kind::Bytes)
}

fn has_map(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> bool {
    seen.insert(message.full_name().to_owned())
        && message.fields().any(|field| match field.kind() {
            // It looks at its keys itself.
            Kind::Message(inner) if inner.full_name().starts_with("google.protobuf.") => false,
            Kind::Message(inner) => field.is_map() || has_map(&inner, seen),
            _ => false,
        })
}

pub(crate) fn schema_name(message: &MessageDescriptor) -> String {
    message.full_name().split('.').map(shout).collect::<Vec<_>>().join("_")
}

/// A field's name as Rust writes it.
pub(crate) fn ident(name: &str) -> String {
    match name {
        "type" | "use" | "match" | "ref" | "move" | "where" | "in" | "for" | "loop" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

/// `postal_code` to `PostalCode`.
fn camel(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}
