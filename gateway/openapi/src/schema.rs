//! Messages as JSON schemas: proto3 JSON, as the gateway reads and writes it.
//!
//! A message has a schema for each role in which it is met: what is answered states everything and may grow; what is sent may
//! leave out what has a default, and holds nothing unknown, but for the first system's calls.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::bounds::{self, Bounds, Of};
use crate::comments::{Comments, first_sentence};
use crate::node::{Node, Object, reference};

/// In which role a message is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Answered.
    Answer,
    /// Sent.
    Strict,
    /// Sent to one of the first system's calls.
    Lenient,
}

/// All schemas of a document.
#[derive(Debug)]
pub(crate) struct Schemas<'a> {
    comments: &'a Comments,
    messages: BTreeMap<String, (MessageDescriptor, BTreeSet<Role>)>,
    enums: BTreeMap<String, EnumDescriptor>,
    /// The fields of requests that their paths state.
    taken: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Schemas<'a> {
    pub(crate) fn new(comments: &'a Comments) -> Self {
        Self { comments, messages: BTreeMap::new(), enums: BTreeMap::new(), taken: BTreeMap::new() }
    }

    /// Notes that a message is met in this role, with all that it holds.
    pub(crate) fn want(&mut self, message: &MessageDescriptor, role: Role) {
        let (_, roles) = self
            .messages
            .entry(message.full_name().to_owned())
            .or_insert_with(|| (message.clone(), BTreeSet::new()));
        if !roles.insert(role) {
            return;
        }
        for field in self.fields(message, role) {
            self.want_field(&field, role);
        }
    }

    /// Notes a field that is met by itself, in a query for example.
    pub(crate) fn want_field(&mut self, field: &FieldDescriptor, role: Role) {
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        match kind {
            Kind::Enum(values) => {
                self.enums.insert(values.full_name().to_owned(), values);
            }
            Kind::Message(message) if well_known(message.full_name()).is_none() => self.want(&message, role),
            _ => {}
        }
    }

    /// Says that a request's field stands in its path, so that it is not in its body.
    pub(crate) fn take(&mut self, message: &MessageDescriptor, field: &str) {
        self.taken.entry(message.full_name().to_owned()).or_default().insert(field.to_owned());
    }

    /// The fields of a message that a client sees in this role. `request_id` is the gateway's own.
    pub(crate) fn fields(&self, message: &MessageDescriptor, role: Role) -> Vec<FieldDescriptor> {
        let taken = self.taken.get(message.full_name());
        let sees = |field: &FieldDescriptor| {
            role == Role::Answer
                || !(field.name() == "request_id" || taken.is_some_and(|taken| taken.contains(field.name())))
        };
        message.fields().filter(sees).collect()
    }

    /// What a field's comment says.
    pub(crate) fn comment(&self, field: &FieldDescriptor) -> String {
        self.comments.at(&field.parent_message().parent_file(), field.path())
    }

    /// The bounds that a field's comment states.
    pub(crate) fn bounds(&self, field: &FieldDescriptor) -> Result<Bounds> {
        let kind = match field.kind() {
            Kind::String => Of::Text,
            Kind::Bool | Kind::Bytes | Kind::Message(_) | Kind::Enum(_) => Of::Other,
            _ => Of::Number,
        };
        bounds::of(&self.comment(field), kind, field.is_list()).with_context(|| field.full_name().to_owned())
    }

    /// Whether a field is always there.
    pub(crate) fn is_required(&self, field: &FieldDescriptor, role: Role) -> Result<bool> {
        let in_oneof = field.containing_oneof().is_some();
        if role == Role::Answer {
            let is_time = matches!(field.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp");
            return Ok(!field.supports_presence()
                || (is_time && !in_oneof && !self.comment(field).contains("bsent")));
        }
        let bounds = self.bounds(field)?;
        if in_oneof || bounds.either {
            return Ok(false);
        }
        let excludes_default = match field.kind() {
            _ if field.is_list() || field.is_map() => bounds.min_items.is_some_and(|least| least > 0),
            Kind::String => {
                !bounds.may_be_empty
                    && (bounds.min_length.is_some_and(|least| least > 0)
                        || bounds.pattern.is_some()
                        || bounds.format.is_some()
                        || !bounds.values.is_empty())
            }
            Kind::Enum(_) => !bounds.values.is_empty(),
            Kind::Bool | Kind::Bytes | Kind::Message(_) => false,
            _ => {
                bounds.minimum.is_some_and(|least| least > 0.0)
                    || bounds.maximum.is_some_and(|most| most < 0.0)
            }
        };
        Ok(bounds.required || (excludes_default && !field.supports_presence()))
    }

    /// A field's schema, its comment included.
    pub(crate) fn field(&self, field: &FieldDescriptor, role: Role) -> Result<Object> {
        let bounds = self.bounds(field)?;
        let comment = self.comment(field);
        let schema = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return Ok(Object::new()) };
            let value = entry.map_entry_value_field();
            Object::new()
                .with("type", "object")
                .with("additionalProperties", self.single(&value, role, &Bounds::default())?)
        } else if field.is_list() {
            Object::new()
                .with("type", "array")
                .with("items", self.single(field, role, &bounds)?)
                .with_some("minItems", bounds.min_items)
                .with_some("maxItems", bounds.max_items)
                .with_some("uniqueItems", bounds.unique.then_some(true))
        } else {
            self.single(field, role, &bounds)?
        };
        Ok(schema.with_some("description", (!comment.is_empty()).then_some(comment)))
    }

    fn single(&self, field: &FieldDescriptor, role: Role, bounds: &Bounds) -> Result<Object> {
        let typed = |name: &str| Object::new().with("type", name);
        Ok(match field.kind() {
            Kind::Bool => typed("boolean"),
            Kind::String => text(bounds, role),
            Kind::Bytes => typed("string").with("contentEncoding", "base64"),
            Kind::Double => zero_or_within(typed("number").with("format", "double"), bounds),
            Kind::Float => zero_or_within(typed("number").with("format", "float"), bounds),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                within(typed("integer").with("format", "int32"), bounds)
            }
            Kind::Uint32 | Kind::Fixed32 => within(
                typed("integer").with("format", "int64"),
                &Bounds {
                    minimum: Some(bounds.minimum.unwrap_or_default()),
                    maximum: Some(bounds.maximum.unwrap_or(f64::from(u32::MAX))),
                    ..Bounds::default()
                },
            ),
            // Numbers of 64 bits are written as strings: not every client could hold them.
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => typed("string").with("pattern", "^-?[0-9]{1,19}$"),
            Kind::Uint64 | Kind::Fixed64 => typed("string").with("pattern", "^[0-9]{1,20}$"),
            // What is not stated is left out of a list.
            Kind::Enum(values) if field.is_list() => {
                self.of_enum(&values, role, &Bounds { required: true, ..bounds.clone() })?
            }
            Kind::Enum(values) => self.of_enum(&values, role, bounds)?,
            Kind::Message(message) => match well_known(message.full_name()) {
                Some(schema) => schema,
                None => reference("schemas", &self.name(&message, role)?),
            },
        })
    }

    fn of_enum(&self, values: &EnumDescriptor, role: Role, bounds: &Bounds) -> Result<Object> {
        let schema = reference("schemas", &joined(values.full_name(), values.package_name()));
        if role == Role::Answer {
            return Ok(schema);
        }
        for name in &bounds.values {
            ensure!(values.get_value_by_name(name).is_some(), "{name} is no value of {}", values.full_name());
        }
        if !bounds.values.is_empty() {
            return Ok(schema.with("enum", bounds.values.clone()));
        }
        let zero = values.get_value(0).filter(|_| bounds.required);
        Ok(schema.with_some("not", zero.map(|zero| Object::new().with("const", zero.name()))))
    }

    /// The component of a message in this role.
    pub(crate) fn name(&self, message: &MessageDescriptor, role: Role) -> Result<String> {
        let (_, roles) = self
            .messages
            .get(message.full_name())
            .with_context(|| format!("{} is met without having been asked for", message.full_name()))?;
        let name = joined(message.full_name(), message.package_name());
        Ok(match role {
            _ if roles.len() == 1 => name,
            Role::Answer => name,
            Role::Strict => format!("{name}Input"),
            Role::Lenient => format!("{name}LenientInput"),
        })
    }

    /// Every schema, by name.
    pub(crate) fn components(&self) -> Result<BTreeMap<String, Object>> {
        let mut found = BTreeMap::new();
        for (message, roles) in self.messages.values() {
            for role in roles {
                let schema = self.message(message, *role).with_context(|| message.full_name().to_owned())?;
                let taken = found.insert(self.name(message, *role)?, schema);
                ensure!(taken.is_none(), "two messages have the name of {}", message.full_name());
            }
        }
        for values in self.enums.values() {
            let name = joined(values.full_name(), values.package_name());
            let taken = found.insert(name, self.values(values));
            ensure!(taken.is_none(), "{} has the name of another", values.full_name());
        }
        Ok(found)
    }

    fn message(&self, message: &MessageDescriptor, role: Role) -> Result<Object> {
        let mut properties = Object::new();
        let mut required = Vec::new();
        for field in self.fields(message, role) {
            properties.set(field.name(), self.field(&field, role)?);
            if self.is_required(&field, role)? {
                required.push(field.name().to_owned());
            }
        }
        let mut description = self.comments.at(&message.parent_file(), message.path());
        if role == Role::Lenient {
            description.push_str(
                "\n\nUp to 64 unknown members are ignored; a time without an offset is read as UTC.",
            );
        }
        let mut oneofs: Vec<Object> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| {
                at_most_one(&oneof.fields().map(|field| field.name().to_owned()).collect::<Vec<_>>())
            })
            .collect();
        if role != Role::Answer {
            let fields = self.fields(message, role);
            for (field, next) in fields.iter().zip(fields.iter().skip(1)) {
                if self.bounds(next)?.either {
                    let one = |field: &FieldDescriptor| Object::new().with("required", [field.name()]);
                    oneofs.push(Object::new().with("oneOf", [one(field), one(next)]));
                }
            }
        }
        Ok(Object::new()
            .with("type", "object")
            .with("description", description)
            .with_some("properties", (!properties.is_empty()).then_some(properties))
            .with_some("required", (!required.is_empty()).then_some(required))
            .with_some("allOf", (!oneofs.is_empty()).then_some(oneofs))
            .with_some("additionalProperties", (role == Role::Strict).then_some(false)))
    }

    fn values(&self, values: &EnumDescriptor) -> Object {
        let file = values.parent_file();
        let mut description = self.comments.at(&file, values.path());
        description.push('\n');
        let mut names = Vec::new();
        for value in values.values() {
            let comment = self.comments.at(&file, value.path());
            description.push_str(&format!("\n- `{}`: {}", value.name(), comment));
            names.push(value.name().to_owned());
        }
        Object::new().with("type", "string").with("description", description).with("enum", names)
    }

    /// The first sentence on a message.
    pub(crate) fn summary(&self, message: &MessageDescriptor) -> String {
        first_sentence(&self.comments.at(&message.parent_file(), message.path())).to_owned()
    }
}

/// The values of an enum that a client may state, what has a default last.
pub(crate) fn first_value(values: &EnumDescriptor, bounds: &Bounds) -> String {
    let stated = bounds.values.first().cloned();
    stated
        .or_else(|| values.values().find(|value| value.number() != 0).map(|value| value.name().to_owned()))
        .unwrap_or_else(|| values.default_value().name().to_owned())
}

fn text(bounds: &Bounds, role: Role) -> Object {
    let schema = Object::new().with("type", "string");
    if !bounds.values.is_empty() {
        return schema.with("enum", bounds.values.clone());
    }
    let least = bounds.min_length.or((bounds.required && role != Role::Answer).then_some(1));
    if bounds.may_be_empty && (bounds.format.is_some() || bounds.pattern.is_some()) {
        let other =
            Object::new().with_some("format", bounds.format).with_some("pattern", bounds.pattern.clone());
        return schema.with("anyOf", [Object::new().with("maxLength", 0_i64), other]);
    }
    // What an address is that we answer, its owner said.
    let format = bounds.format.filter(|format| role != Role::Answer || *format != "email");
    schema
        .with_some("format", format)
        .with_some("pattern", bounds.pattern.clone())
        .with_some("minLength", least.filter(|_| !bounds.may_be_empty))
        .with_some("maxLength", bounds.max_length)
}

fn within(schema: Object, bounds: &Bounds) -> Object {
    schema.with_some("minimum", bounds.minimum).with_some("maximum", bounds.maximum)
}

/// Where 0 is apart from the others. (Between 0 and 1, from which on whole numbers that may be 0 are counted, there is none of those.)
fn zero_or_within(schema: Object, bounds: &Bounds) -> Object {
    let Some(least) = bounds.least_but_zero else { return within(schema, bounds) };
    let others = Bounds { minimum: Some(least), ..bounds.clone() };
    schema.with("anyOf", [Object::new().with("const", 0_i64), within(Object::new(), &others)])
}

/// Of these members one at most.
fn at_most_one(names: &[String]) -> Object {
    let one = |name: &String| Object::new().with("required", [name.clone()]);
    let mut ways: Vec<Object> = names.iter().map(one).collect();
    let any = Object::new().with("anyOf", names.iter().map(one).collect::<Vec<_>>());
    ways.push(Object::new().with("not", any));
    Object::new().with("oneOf", ways)
}

/// The JSON of a type that is not ours.
pub(crate) fn well_known(name: &str) -> Option<Object> {
    let typed = |name: &str| Object::new().with("type", name);
    let nullable = |name: &str| Object::new().with("type", [name, "null"]);
    Some(match name {
        "google.protobuf.Timestamp" => typed("string").with("format", "date-time"),
        "google.protobuf.Duration" => typed("string").with("pattern", r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"),
        "google.protobuf.FieldMask" => typed("string"),
        "google.protobuf.Value" => Object::new(),
        "google.protobuf.Struct" | "google.protobuf.Any" => typed("object"),
        "google.protobuf.Empty" => typed("object").with("maxProperties", 0_i64),
        "google.protobuf.ListValue" => typed("array").with("items", Object::new()),
        "google.protobuf.BoolValue" => nullable("boolean"),
        "google.protobuf.StringValue" => nullable("string"),
        "google.protobuf.BytesValue" => nullable("string").with("contentEncoding", "base64"),
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => nullable("number"),
        "google.protobuf.Int32Value" | "google.protobuf.UInt32Value" => nullable("integer"),
        "google.protobuf.Int64Value" | "google.protobuf.UInt64Value" => nullable("string"),
        _ => return None,
    })
}

/// `petty.behavior.v1.SafeZone.Place` to `SafeZonePlace`.
fn joined(full_name: &str, package: &str) -> String {
    full_name.strip_prefix(package).unwrap_or(full_name).replace('.', "")
}

/// A list of nothing but what was found.
pub(crate) fn object_of(members: BTreeMap<String, Object>) -> Object {
    members.into_iter().fold(Object::new(), |object, (name, member)| object.with(name, Node::from(member)))
}
