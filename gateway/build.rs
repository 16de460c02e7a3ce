//! Generates the routes, and the document that describes them, from the protos' `google.api.http` annotations, with no protoc installed.
//!
//! Invariant: what the gateway cannot translate does not build: maps, oneofs and bytes in requests, streams of requests,
//! streams of answers that no client could take up again, bodies other than the whole request, path parameters that are not
//! plain strings, a route on a method for services.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

/// What one `HttpRule` binding says.
struct Binding {
    verb: &'static str,
    template: String,
    takes_body: bool,
}

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folders in the environment")]
fn main() -> Result<()> {
    let protos = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../proto/petty");
    println!("cargo:rerun-if-changed=../proto/google");

    let mut files = Vec::new();
    find_protos(&protos.join("petty"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&protos])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    // Encoded by protox itself: prost's typed set would drop the extensions.
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("routes.rs"), Generator::new(&pool)?.generate()?)?;
    fs::write(out.join("openapi.json"), petty_openapi::document(&pool, &env::var("CARGO_PKG_VERSION")?)?)?;
    Ok(())
}

fn find_protos(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

struct Generator<'a> {
    pool: &'a DescriptorPool,
    http: prost_reflect::ExtensionDescriptor,
    /// The code of each message reachable from a request, by full name.
    messages: BTreeMap<String, String>,
    requests: BTreeMap<String, String>,
    /// The messages that are streamed.
    updates: BTreeMap<String, String>,
    routes: String,
}

impl<'a> Generator<'a> {
    fn new(pool: &'a DescriptorPool) -> Result<Self> {
        let http =
            pool.get_extension_by_name("google.api.http").ok_or_else(|| anyhow!("no google.api.http"))?;
        Ok(Self {
            pool,
            http,
            messages: BTreeMap::new(),
            requests: BTreeMap::new(),
            updates: BTreeMap::new(),
            routes: String::new(),
        })
    }

    fn generate(mut self) -> Result<String> {
        for service in self.pool.services().filter(|service| service.full_name().starts_with("petty.")) {
            for method in service.methods() {
                self.method(&method).with_context(|| method.full_name().to_owned())?;
            }
        }
        let mut code = String::new();
        for part in self.messages.values().chain(self.requests.values()).chain(self.updates.values()) {
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
        let way = if method.is_server_streaming() {
            ensure!(bindings.iter().all(|binding| binding.verb == "Get"), "EventSource knows GET alone");
            self.update(&method.output())?;
            format!(
                "Stream(|exchange_| Box::pin(open::<{}, {}>(exchange_)))",
                rust_path(&method.input()),
                rust_path(&method.output())
            )
        } else {
            format!(
                "Whole(|exchange_| Box::pin(exchange::<{}, {}>(exchange_)))",
                rust_path(&method.input()),
                rust_path(&method.output())
            )
        };
        let successor = bindings.iter().map(|b| &b.template).find(|template| is_versioned(template));
        let mut path_fields = BTreeSet::new();
        for binding in &bindings {
            for field in parameters(&binding.template)? {
                path_fields.insert(field);
            }
            let successor = if is_versioned(&binding.template) { None } else { successor };
            writeln!(
                self.routes,
                "Route {{ verb: Verb::{}, template: {:?}, policy: &policy::{}, upstream: {:?}, takes_body: {}, \
                 successor: {successor:?}, way: Way::{way} }},",
                binding.verb,
                binding.template,
                shout(&format!("{}{}", method.parent_service().name(), method.name())),
                upstream(method)?,
                binding.takes_body,
            )?;
        }
        self.request(&method.input(), &path_fields, method.is_server_streaming())
    }

    /// What a message that is streamed says of itself in an event: its id, which a client comes back with, and its type.
    fn update(&mut self, message: &MessageDescriptor) -> Result<()> {
        let field = |name: &str| message.get_field_by_name(name).ok_or_else(|| anyhow!("no field {name}"));
        let (id, kind) = (field("id")?, field("type")?);
        ensure!(
            matches!(id.kind(), Kind::String) && !id.is_list() && !id.supports_presence(),
            "{} is not a plain string",
            id.full_name()
        );
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
        self.updates.insert(
            message.full_name().to_owned(),
            format!(
                "impl Update for {} {{ fn id(&self) -> &str {{ &self.id }} \
                 fn event(&self) -> &'static str {{ match self.r#type {{ {arms}_ => \"message\" }} }} }}\n",
                rust_path(message)
            ),
        );
        Ok(())
    }

    /// What the request message alone needs: its schema, its path fields, its `request_id` and, of a stream, its
    /// `last_event_id`.
    fn request(
        &mut self,
        message: &MessageDescriptor,
        path_fields: &BTreeSet<String>,
        streams: bool,
    ) -> Result<()> {
        ensure!(
            !self.requests.contains_key(message.full_name()),
            "{} is another method's too",
            message.full_name()
        );
        self.message(message)?;
        let mut arms = String::new();
        for name in path_fields {
            let field = message.get_field_by_name(name).ok_or_else(|| anyhow!("no field {name}"))?;
            ensure!(
                matches!(field.kind(), Kind::String) && !field.is_list() && !field.supports_presence(),
                "the path's {name} is not a plain string"
            );
            write!(arms, "{name:?} => Some(&mut self.{}), ", ident(name))?;
        }
        let path_field = if arms.is_empty() {
            "fn path_field(&mut self, _: &str) -> Option<&mut String> { None }".to_owned()
        } else {
            format!(
                "fn path_field(&mut self, name: &str) -> Option<&mut String> {{ match name {{ {arms}_ => None }} }}"
            )
        };
        let mut methods = String::new();
        for name in ["request_id", "last_event_id"] {
            let Some(field) = message.get_field_by_name(name) else { continue };
            ensure!(
                matches!(field.kind(), Kind::String) && !field.is_list() && !field.supports_presence(),
                "{name} is not a plain string"
            );
            if streams || name != "last_event_id" {
                write!(methods, "fn {name}(&mut self) -> Option<&mut String> {{ Some(&mut self.{name}) }} ")?;
            }
        }
        self.requests.insert(
            message.full_name().to_owned(),
            format!(
                "impl RequestMessage for {} {{ const SCHEMA: &'static Schema = &{}; {path_field} {methods}}}\n",
                rust_path(message),
                schema_name(message),
            ),
        );
        Ok(())
    }

    /// The schema and the walk of a message and of what it holds.
    fn message(&mut self, message: &MessageDescriptor) -> Result<()> {
        if self.messages.contains_key(message.full_name()) {
            return Ok(());
        }
        // Taken now, so that a message that holds itself ends the recursion.
        self.messages.insert(message.full_name().to_owned(), String::new());
        ensure!(
            message.oneofs().all(|oneof| oneof.is_synthetic()),
            "{}: oneofs have no translation yet",
            message.full_name()
        );
        let mut fields = String::new();
        let mut walk = String::new();
        for field in message.fields() {
            let name = field.name();
            writeln!(walk, "walk.field({name:?}, &self.{});", ident(name))?;
            if name == "request_id" {
                continue;
            }
            let kind = self.kind(&field).with_context(|| field.full_name().to_owned())?;
            writeln!(
                fields,
                "Field {{ name: {name:?}, json: {:?}, kind: {kind}, repeated: {} }},",
                field.json_name(),
                field.is_list()
            )?;
        }
        let parameter = if walk.is_empty() { "_" } else { "walk" };
        let code = format!(
            "static {}: Schema = Schema {{ fields: &[{fields}] }};\n\
             impl Sound for {} {{ fn check(&self, {parameter}: &mut Walk) {{ {walk} }} }}\n",
            schema_name(message),
            rust_path(message)
        );
        self.messages.insert(message.full_name().to_owned(), code);
        Ok(())
    }

    fn kind(&mut self, field: &FieldDescriptor) -> Result<String> {
        ensure!(!field.is_map(), "maps have no translation yet");
        Ok(match field.kind() {
            Kind::String => "Kind::Text".to_owned(),
            Kind::Bool => "Kind::Bool".to_owned(),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "Kind::Int32".to_owned(),
            Kind::Uint32 | Kind::Fixed32 => "Kind::Uint32".to_owned(),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "Kind::Int64".to_owned(),
            Kind::Uint64 | Kind::Fixed64 => "Kind::Uint64".to_owned(),
            Kind::Double | Kind::Float => "Kind::Number".to_owned(),
            Kind::Bytes => bail!("bytes have no translation yet"),
            Kind::Enum(values) => {
                let values: Vec<String> = values
                    .values()
                    .map(|value| format!("({:?}, {})", value.name(), value.number()))
                    .collect();
                format!("Kind::Enum(&[{}])", values.join(", "))
            }
            Kind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => {
                "Kind::Time".to_owned()
            }
            Kind::Message(message) if message.full_name() == "google.protobuf.Value" => {
                ensure!(!field.is_list(), "lists of any JSON have no translation yet");
                "Kind::Json".to_owned()
            }
            Kind::Message(message) => {
                ensure!(
                    message.full_name().starts_with("petty."),
                    "{} has no translation yet",
                    message.full_name()
                );
                self.message(&message)?;
                format!("Kind::Message(&{})", schema_name(&message))
            }
        })
    }
}

fn bindings(rule: &DynamicMessage) -> Result<Vec<Binding>> {
    let mut found = Vec::new();
    for (name, verb) in
        [("get", "Get"), ("put", "Put"), ("post", "Post"), ("delete", "Delete"), ("patch", "Patch")]
    {
        if rule.has_field_by_name(name) {
            let body = text(rule, "body");
            ensure!(
                body.is_empty() || body == "*",
                "the body {body:?} is neither the whole request nor absent"
            );
            ensure!(text(rule, "response_body").is_empty(), "response_body has no translation yet");
            ensure!(
                // Some removals say more than what is to be removed.
                verb == "Delete" || body.is_empty() == (verb == "Get"),
                "{name} and the body {body:?} do not go together"
            );
            found.push(Binding { verb, template: text(rule, name), takes_body: !body.is_empty() });
        }
    }
    ensure!(found.len() == 1, "a binding has one verb, and no custom one");
    if let Some(more) = rule.get_field_by_name("additional_bindings") {
        for rule in more.as_list().unwrap_or_default() {
            found.extend(bindings(rule.as_message().context("an HttpRule")?)?);
        }
    }
    Ok(found)
}

/// The fields that a template names.
fn parameters(template: &str) -> Result<Vec<String>> {
    ensure!(template.starts_with('/'), "{template} does not begin with /");
    let mut found = Vec::new();
    for segment in template.split('/') {
        let Some((before, rest)) = segment.split_once('{') else { continue };
        let (name, after) = rest.split_once('}').ok_or_else(|| anyhow!("{template}: an open brace"))?;
        ensure!(
            before.is_empty() && (after.is_empty() || after.starts_with(':')),
            "{template}: {segment} is too clever"
        );
        ensure!(!name.contains(['=', '*', '.']), "{template}: {name} is no plain field");
        found.push(name.to_owned());
    }
    Ok(found)
}

/// Whether a path states its version, or is one of the well-known ones, which have none.
fn is_versioned(template: &str) -> bool {
    template.starts_with("/v1/") || template.starts_with("/.well-known/")
}

fn audience_is_outside(method: &MethodDescriptor) -> Result<bool> {
    let pool = method.parent_pool();
    let extension = pool
        .get_extension_by_name("petty.options.v1.policy")
        .ok_or_else(|| anyhow!("no petty.options.v1.policy"))?;
    let options = method.options();
    let value = options.get_extension(&extension);
    let policy = value.as_message().context("a policy")?;
    let for_gateway = policy.get_field_by_name("services").is_some_and(|list| {
        list.as_list().unwrap_or_default().iter().any(|name| name.as_str() == Some("gateway"))
    });
    // PUBLIC, ACCOUNT, ACCOUNT_OR_DEVICE.
    let audience =
        policy.get_field_by_name("audience").and_then(|value| value.as_enum_number()).unwrap_or_default();
    Ok(for_gateway && (1..=3).contains(&audience))
}

/// `petty.auth.v1` is answered by `auth`.
fn upstream(method: &MethodDescriptor) -> Result<String> {
    let file = method.parent_service().parent_file();
    let name = file.package_name().split('.').nth(1).context("a package without a service")?;
    Ok(name.to_owned())
}

/// A message's path in petty-proto.
fn rust_path(message: &MessageDescriptor) -> String {
    let mut path = vec![message.name().to_owned()];
    let mut parent = message.parent_message();
    while let Some(outer) = parent {
        path.insert(0, shout(outer.name()).to_ascii_lowercase());
        parent = outer.parent_message();
    }
    let package = message.parent_file().package_name().replacen("petty.", "", 1).replace('.', "::");
    format!("petty_proto::{package}::{}", path.join("::"))
}

fn schema_name(message: &MessageDescriptor) -> String {
    message.full_name().split('.').map(shout).collect::<Vec<_>>().join("_")
}

/// A field's name as Rust writes it.
fn ident(name: &str) -> String {
    match name {
        "type" | "use" | "match" | "ref" | "move" | "where" | "in" | "for" | "loop" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// `PetServiceGetPet` to `PET_SERVICE_GET_PET`.
fn shout(name: &str) -> String {
    let mut shouted = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            shouted.push('_');
        }
        shouted.push(letter.to_ascii_uppercase());
    }
    shouted
}
