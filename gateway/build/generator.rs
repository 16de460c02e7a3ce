//! The table of routes, and what each request is of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::bindings::{Binding, audience_is_outside, bindings, is_versioned};
use crate::messages::{Messages, enum_values, ident, schema_name};
use crate::policies::shout;
use crate::template::{Segment, Template};

pub(crate) struct Generator<'a> {
    pool: &'a DescriptorPool,
    http: prost_reflect::ExtensionDescriptor,
    messages: Messages,
    requests: BTreeMap<String, String>,
    /// The messages that are streamed.
    updates: BTreeMap<String, String>,
    routes: String,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(pool: &'a DescriptorPool, root: &'static str) -> Result<Self> {
        let http =
            pool.get_extension_by_name("google.api.http").ok_or_else(|| anyhow!("no google.api.http"))?;
        Ok(Self {
            pool,
            http,
            messages: Messages { root, code: BTreeMap::new() },
            requests: BTreeMap::new(),
            updates: BTreeMap::new(),
            routes: String::new(),
        })
    }

    pub(crate) fn generate(mut self) -> Result<String> {
        for service in self.pool.services().filter(|service| service.full_name().starts_with("petty.")) {
            for method in service.methods() {
                self.method(&method).with_context(|| method.full_name().to_owned())?;
            }
        }
        let mut code = String::new();
        for part in self.messages.code.values().chain(self.requests.values()).chain(self.updates.values()) {
            code.push_str(part);
        }
        writeln!(code, "/// Every route.\npub(crate) static ROUTES: &[Route] = &[\n{}];", self.routes)?;
        Ok(code)
    }

    fn method(&mut self, method: &MethodDescriptor) -> Result<()> {
        let options = method.options();
        if !options.has_extension(&self.http) {
            return Ok(());
        }
        let value = options.get_extension(&self.http);
        let rule = value.as_message().context("an HttpRule")?;
        ensure!(!method.is_client_streaming(), "HTTP sends one request");
        ensure!(audience_is_outside(method)?, "is for services only, yet has a route");

        let bindings = bindings(rule)?;
        let (call, variant) = if method.is_server_streaming() {
            ensure!(bindings.iter().all(|binding| binding.verb == "Get"), "EventSource knows GET alone");
            ensure!(
                bindings.iter().all(|binding| binding.answer_field.is_none()),
                "a stream's messages are whole"
            );
            self.update(&method.output(), method.input().get_field_by_name("last_event_id").is_some())?;
            ("open", "Stream")
        } else {
            ("exchange", "Whole")
        };
        let way = format!(
            "{variant}(|exchange_| Box::pin({call}::<{}, {}>(exchange_)))",
            self.messages.path(&method.input()),
            self.messages.path(&method.output())
        );
        let successor = bindings.iter().map(|b| &b.template).find(|template| is_versioned(template));
        let mut path_fields = BTreeSet::new();
        for binding in &bindings {
            path_fields.extend(stated(binding, method)?);
            let successor = if is_versioned(&binding.template) { None } else { successor };
            writeln!(
                self.routes,
                "Route {{ verb: Verb::{}, template: {:?}, policy: &policy::{}, upstream: {:?}, takes_body: {}, \
                 body_field: {:?}, answer_field: {:?}, successor: {successor:?}, way: Way::{way} }},",
                binding.verb,
                binding.template,
                shout(&format!("{}{}", method.parent_service().name(), method.name())),
                upstream(method)?,
                binding.takes_body,
                binding.body_field,
                binding.answer_field,
            )?;
        }
        self.request(&method.input(), &path_fields, method.is_server_streaming())
    }

    /// What a message that is streamed says of itself: its id, which a client comes back with, and its type. One without an id
    /// cannot be taken up again.
    fn update(&mut self, message: &MessageDescriptor, resumes: bool) -> Result<()> {
        ensure!(message.get_field_by_name("error").is_none(), "a line that holds an error is the last");
        let mut methods = String::new();
        let id = message.get_field_by_name("id");
        ensure!(id.is_some() == resumes, "an id and the request's last_event_id go together");
        if let Some(id) = id {
            ensure!(is_plain_text(&id), "{} is not a plain string", id.full_name());
            methods.push_str("fn id(&self) -> &str { &self.id } ");
        }
        if let Some(kind) = message.get_field_by_name("type") {
            let Kind::Enum(values) = kind.kind() else { bail!("{} is not an enum", kind.full_name()) };
            let mut arms = String::new();
            for value in values.values().filter(|value| value.number() != 0) {
                let name = value.name().to_ascii_lowercase();
                ensure!(
                    !["open", "error", "message"].contains(&name.as_str()),
                    "{}: EventSource has an event {name} of its own",
                    value.full_name()
                );
                write!(arms, "{} => {name:?}, ", value.number())?;
            }
            write!(
                methods,
                "fn event(&self) -> &'static str {{ match self.r#type {{ {arms}_ => \"message\" }} }}"
            )?;
        }
        self.updates.insert(
            message.full_name().to_owned(),
            format!("impl Update for {} {{ {methods} }}\n", self.messages.path(message)),
        );
        Ok(())
    }

    /// What the request message alone needs: its schema, its path fields, its `request_id` and its mask and, of a stream, its
    /// `last_event_id`.
    fn request(
        &mut self,
        message: &MessageDescriptor,
        path_fields: &BTreeSet<String>,
        streams: bool,
    ) -> Result<()> {
        ensure!(message.full_name().starts_with("petty."), "{} is not ours", message.full_name());
        ensure!(
            !self.requests.contains_key(message.full_name()),
            "{} is another method's too",
            message.full_name()
        );
        self.messages.message(message)?;
        let mut arms = String::new();
        for name in path_fields {
            let slot = slot(message, name).with_context(|| format!("the path's {name}"))?;
            write!(arms, "{name:?} => Slot::state({slot}, text), ")?;
        }
        let state = if arms.is_empty() {
            "fn state(&mut self, _: &str, _: &str) -> Result<(), &'static str> { Ok(()) }".to_owned()
        } else {
            format!(
                "fn state(&mut self, name: &str, text: &str) -> Result<(), &'static str> {{ match name {{ {arms}_ => Ok(()) }} }}"
            )
        };
        let mut methods = String::new();
        for name in ["request_id", "last_event_id"] {
            let Some(field) = message.get_field_by_name(name) else { continue };
            ensure!(is_plain_text(&field), "{name} is not a plain string");
            if streams || name != "last_event_id" {
                write!(methods, "fn {name}(&mut self) -> Option<&mut String> {{ Some(&mut self.{name}) }} ")?;
            }
        }
        if let Some(field) = message.get_field_by_name("update_mask") {
            let is_mask = matches!(field.kind(), Kind::Message(kind) if kind.full_name() == "google.protobuf.FieldMask");
            ensure!(is_mask && !field.is_list(), "update_mask is no FieldMask");
            methods.push_str(
                "fn update_mask(&mut self) -> Option<&mut Option<petty_proto::wkt::FieldMask>> { Some(&mut self.update_mask) } ",
            );
        }
        self.requests.insert(
            message.full_name().to_owned(),
            format!(
                "impl RequestMessage for {} {{ const SCHEMA: &'static Schema = &{}; {state} {methods}}}\n",
                self.messages.path(message),
                schema_name(message),
            ),
        );
        Ok(())
    }
}

/// The fields that a binding's path states, once all that it names is there.
fn stated(binding: &Binding, method: &MethodDescriptor) -> Result<Vec<String>> {
    let (input, output) = (method.input(), method.output());
    let template = Template::parse(&binding.template)
        .map_err(|reason| anyhow!(reason))
        .with_context(|| binding.template.clone())?;
    ensure!(
        template.verb.is_none_or(|verb| verb.starts_with(|first: char| first.is_ascii_lowercase())),
        "{}: verbs are written like:thisOne",
        binding.template
    );
    if let Some(name) = &binding.body_field {
        let field = input.get_field_by_name(name).ok_or_else(|| anyhow!("the body's {name} is no field"))?;
        ensure!(!in_oneof(&field), "the body's {name} is one of several alternatives");
        ensure!(!["request_id", "update_mask"].contains(&name.as_str()), "the body is {name}");
    }
    if let Some(name) = &binding.answer_field {
        ensure!(output.get_field_by_name(name).is_some(), "the answer's {name} is no field");
    }
    let mut fields = Vec::new();
    for variable in &template.variables {
        if variable.count > 1 || template.segments[variable.first] == Segment::Rest {
            let field = find(&input, variable.field)?;
            ensure!(matches!(field.kind(), Kind::String), "{} has several segments", variable.field);
        }
        fields.push(variable.field.to_owned());
    }
    Ok(fields)
}

/// The field at the end of a path of them, none of which is a list or an alternative.
fn find(message: &MessageDescriptor, path: &str) -> Result<FieldDescriptor> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = message.get_field_by_name(first).ok_or_else(|| anyhow!("no field {first}"))?;
    ensure!(!field.is_list() && !field.is_map(), "{first} is several");
    ensure!(!in_oneof(&field), "{first} is one of several alternatives");
    match (rest, field.kind()) {
        (None, _) => Ok(field),
        (Some(rest), Kind::Message(inner)) => find(&inner, rest),
        (Some(_), _) => bail!("{first} has no fields"),
    }
}

/// Where the text of a path goes.
fn slot(message: &MessageDescriptor, path: &str) -> Result<String> {
    let field = find(message, path)?;
    let (within, last) = path.rsplit_once('.').map_or((None, path), |(within, last)| (Some(within), last));
    let mut place = "&mut self".to_owned();
    for part in within.into_iter().flat_map(|within| within.split('.')) {
        write!(place, ".{}.get_or_insert_default()", ident(part))?;
    }
    write!(place, ".{}", ident(last))?;
    match field.kind() {
        Kind::String | Kind::Bool => Ok(place),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => Ok(place),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => Ok(place),
        Kind::Enum(values) if !field.supports_presence() => {
            Ok(format!("&mut Choice({place}, {})", enum_values(&values)))
        }
        kind => bail!("{path} is a {kind:?}"),
    }
}

fn in_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())
}

fn is_plain_text(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::String) && !field.is_list() && !field.supports_presence()
}

/// `petty.auth.v1` is answered by `auth`.
fn upstream(method: &MethodDescriptor) -> Result<String> {
    let file = method.parent_service().parent_file();
    let name = file.package_name().split('.').nth(1).context("a package without a service")?;
    Ok(name.to_owned())
}
