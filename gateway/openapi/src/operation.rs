//! Methods as operations.

use anyhow::{Context as _, Result, ensure};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::answers;
use crate::comments::{Comments, Text};
use crate::example;
use crate::http::{Binding, Policy, parameters};
use crate::node::{Node, Object, reference};
use crate::schema::{Role, Schemas, well_known};

/// The method that also takes lines, what each of them is, and what is answered then.
pub(crate) const LINES: (&str, &str, &str) = (
    "petty.ingest.v1.IngestService.IngestReadings",
    "petty.ingest.v1.Reading",
    "petty.ingest.v1.UploadReadingsResponse",
);
/// The method that also takes forms: where a standard says so (RFC 7009, 2.1).
const FORMS: &str = "petty.auth.v1.TokenService.RevokeToken";
/// As deep a field may lie that a query names.
const DEEPEST: usize = 8;
/// The media type of lines.
const NDJSON: &str = "application/x-ndjson";

/// A method that has routes.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: MethodDescriptor,
    pub(crate) policy: Policy,
    pub(crate) bindings: Vec<Binding>,
}

impl Operation {
    /// In which role its request is met.
    pub(crate) fn role(&self) -> Role {
        if self.policy.lenient { Role::Lenient } else { Role::Strict }
    }

    /// Notes the schemas that it needs.
    pub(crate) fn want(&self, schemas: &mut Schemas<'_>) -> Result<()> {
        let input = self.method.input();
        for binding in &self.bindings {
            for field in parameters(&binding.path) {
                schemas.take(&input, field);
            }
        }
        for binding in &self.bindings {
            match binding.body.as_str() {
                "*" => schemas.want(&input, self.role()),
                "" => {}
                field => schemas.want_field(&self.field(field)?, self.role()),
            }
            for (_, field) in self.query(binding, schemas) {
                schemas.want_field(&field, self.role());
            }
            match binding.answer.as_str() {
                "" => schemas.want(&self.method.output(), Role::Answer),
                field => schemas.want_field(&answer_field(&self.method, field)?, Role::Answer),
            }
        }
        if self.method.full_name() == LINES.0 {
            let pool = self.method.parent_pool();
            let message = |name: &str| pool.get_message_by_name(name).with_context(|| name.to_owned());
            schemas.want(&message(LINES.1)?, Role::Strict);
            schemas.want(&message(LINES.2)?, Role::Answer);
        }
        Ok(())
    }

    /// A field of the request, or of a message in it: `pet.pet_id`.
    fn field(&self, path: &str) -> Result<FieldDescriptor> {
        let mut message = self.method.input();
        let mut found = None;
        for name in path.split('.') {
            let field = message.get_field_by_name(name);
            let field = field.with_context(|| format!("{} has no {name}", message.full_name()))?;
            if let Kind::Message(inner) = field.kind() {
                message = inner;
            }
            found = Some(field);
        }
        found.context("a field without a name")
    }

    /// The fields that stand in the query, by their paths in the request.
    fn query(&self, binding: &Binding, schemas: &Schemas<'_>) -> Vec<(String, FieldDescriptor)> {
        let mut found = Vec::new();
        if binding.body != "*" {
            self.plain_fields(&self.method.input(), "", schemas, &mut found);
        }
        let in_path = parameters(&binding.path);
        let body = format!("{}.", binding.body);
        found.retain(|(name, _)| {
            !in_path.contains(&name.as_str()) && *name != binding.body && !name.starts_with(&body)
        });
        found
    }

    /// What of a message a text can be, with what the messages in it hold.
    fn plain_fields(
        &self,
        message: &MessageDescriptor,
        prefix: &str,
        schemas: &Schemas<'_>,
        found: &mut Vec<(String, FieldDescriptor)>,
    ) {
        for field in schemas.fields(message, self.role()) {
            let name = format!("{prefix}{}", field.name());
            match field.kind() {
                _ if field.is_map() => {}
                Kind::Message(inner) if well_known(inner.full_name()).is_some() => {
                    if !["Value", "Struct", "ListValue", "Any", "Empty"].contains(&inner.name()) {
                        found.push((name, field));
                    }
                }
                // A list of them no query can hold, nor what holds itself without end.
                Kind::Message(inner) if !field.is_list() && name.split('.').count() < DEEPEST => {
                    self.plain_fields(&inner, &format!("{name}."), schemas, found);
                }
                Kind::Message(_) => {}
                _ => found.push((name, field)),
            }
        }
    }

    /// The operation of one of its bindings.
    pub(crate) fn object(&self, at: usize, comments: &Comments, schemas: &Schemas<'_>) -> Result<Object> {
        let binding = &self.bindings[at];
        let service = self.method.parent_service();
        let text = comments.text(&service.parent_file(), self.method.path());
        ensure!(!text.summary.is_empty(), "nothing is said of it");
        let mut operation = Object::new()
            .with("tags", [tag(service.name())])
            .with("summary", text.summary.clone())
            .with("description", self.description(&text, binding))
            .with("operationId", operation_id(self.method.name(), binding));
        let parameters = self.parameters(binding, schemas)?;
        if !parameters.is_empty() {
            operation.set("parameters", parameters);
        }
        if let Some(body) = self.body(binding, schemas)? {
            operation.set("requestBody", body);
        }
        operation.set("responses", self.responses(binding, &text, schemas)?);
        if binding.deprecated {
            operation.set("deprecated", true);
        }
        operation.set("security", self.security());
        // What a client sets its own patience and pace by.
        let policy = Object::new()
            .with("rate_class", self.policy.rate_class.clone())
            .with("deadline_ms", self.policy.deadline_ms);
        Ok(operation.with("x-petty-policy", policy))
    }

    fn description(&self, text: &Text, binding: &Binding) -> String {
        let policy = &self.policy;
        let mut said = Vec::new();
        if !text.description.is_empty() {
            said.push(text.description.clone());
        }
        if binding.deprecated
            && let Some(successor) = self.bindings.iter().find(|binding| !binding.deprecated)
        {
            said.push(format!("Deprecated: `{}` replaces this path.", successor.path));
        }
        let who = match policy.audience.as_str() {
            "PUBLIC" => "anybody",
            "ACCOUNT_OR_DEVICE" => "an account, or a collar with its device token",
            _ if !policy.roles.is_empty() => "staff",
            _ => "an account",
        };
        let mut may = format!("**Who may call:** {who}");
        if !policy.scope.is_empty() {
            may.push_str(&format!("; scope `{}`", policy.scope));
        }
        if !policy.roles.is_empty() {
            may.push_str(&format!("; platform role {}", policy.roles.join(" or ")));
        }
        if let Some((field, _, need)) = &policy.resource {
            let need = match need.as_str() {
                "READ" => "to see",
                "WRITE" => "to add to",
                _ => "to change",
            };
            may.push_str(&format!("; must be allowed {need} what `{field}` names"));
        }
        let twice = match policy.repeat.as_str() {
            "READ_ONLY" => "it only reads",
            "IDEMPOTENT" => "the effect is that of once",
            "REQUEST_ID" => "send an `Idempotency-Key`, and the first answer comes again",
            "REQUEST_ID_SECRET" => {
                "send an `Idempotency-Key`; a second sending is 409 `SECRET_ALREADY_SHOWN`, as secrets are not stored"
            }
            _ => "each sending makes another",
        };
        said.push(format!("{may}."));
        said.push(format!("**Sent twice:** {twice}."));
        said.join("\n\n")
    }

    fn parameters(&self, binding: &Binding, schemas: &Schemas<'_>) -> Result<Vec<Object>> {
        let mut found = Vec::new();
        for name in parameters(&binding.path) {
            found.push(self.parameter("path", name, &self.field(name)?, schemas)?);
        }
        for (name, field) in self.query(binding, schemas) {
            found.push(self.parameter("query", &name, &field, schemas)?);
        }
        if self.policy.takes_key() {
            found.push(reference("parameters", "IdempotencyKey"));
        }
        if self.method.is_server_streaming() {
            found.push(reference("parameters", "LastEventId"));
        } else if binding.verb == "get" {
            found.push(reference("parameters", "IfNoneMatch"));
        }
        if binding.deprecated {
            found.push(reference("parameters", "ApiVersion"));
        }
        Ok(found)
    }

    fn parameter(
        &self,
        place: &str,
        name: &str,
        field: &FieldDescriptor,
        schemas: &Schemas<'_>,
    ) -> Result<Object> {
        let schema = schemas.field(field, self.role())?;
        let in_path = place == "path";
        let required = in_path || schemas.is_required(field, self.role())?;
        // In a path there is always something.
        let schema = match in_path && schema.get("type").is_some() && schema.get("minLength").is_none() {
            true if schema.get("pattern").is_none() && schema.get("format").is_none() => {
                schema.with("minLength", 1_i64)
            }
            _ => schema,
        };
        let description = schema.get("description").and_then(Node::as_text).map(str::to_owned);
        let mut bare = Object::new();
        for (name, value) in schema.members().filter(|(name, _)| *name != "description") {
            bare.set(name, value.clone());
        }
        let example = match field.name() {
            "page_token" | "last_event_id" => None,
            _ => Some(example::value(schemas, field, self.role(), 0)?),
        };
        Ok(Object::new()
            .with("name", name)
            .with("in", place)
            .with_some("description", description)
            .with_some("required", required.then_some(true))
            .with("schema", bare)
            .with_some("example", example))
    }

    fn body(&self, binding: &Binding, schemas: &Schemas<'_>) -> Result<Option<Object>> {
        let input = self.method.input();
        let (schema, example, required) = match binding.body.as_str() {
            "" => return Ok(None),
            "*" => {
                let mut required = false;
                for field in schemas.fields(&input, self.role()) {
                    required |= schemas.is_required(&field, self.role())?;
                }
                let name = schemas.name(&input, self.role())?;
                (reference("schemas", &name), example::message(schemas, &input, self.role())?, required)
            }
            name => {
                let field = self.field(name)?;
                let example = example::value(schemas, &field, self.role(), 0)?;
                (schemas.field(&field, self.role())?, example, schemas.is_required(&field, self.role())?)
            }
        };
        let media = Object::new().with("schema", schema).with("example", example.clone());
        let mut content = Object::new().with("application/json", media.clone());
        if self.method.full_name() == FORMS {
            content.set("application/x-www-form-urlencoded", media);
        }
        if self.method.full_name() == LINES.0 {
            content.set(
                NDJSON,
                self.lines(LINES.1, Role::Strict, "Any number of lines, each a reading.", schemas)?,
            );
        }
        Ok(Some(Object::new().with("content", content).with_some("required", required.then_some(true))))
    }

    /// Lines of JSON.
    fn lines(&self, name: &str, role: Role, description: &str, schemas: &Schemas<'_>) -> Result<Object> {
        let message = self.method.parent_pool().get_message_by_name(name).with_context(|| name.to_owned())?;
        let line = serde_json::to_string(&example::message(schemas, &message, role)?)?;
        let schema = Object::new()
            .with("type", "string")
            .with("description", description)
            // One line at least.
            .with("pattern", r"\S")
            .with("contentMediaType", "application/json")
            .with("contentSchema", reference("schemas", &schemas.name(&message, role)?));
        Ok(Object::new().with("schema", schema).with("example", format!("{line}\n")))
    }

    fn responses(&self, binding: &Binding, text: &Text, schemas: &Schemas<'_>) -> Result<Object> {
        let policy = &self.policy;
        let mut responses = Object::new();
        responses.set(policy.success_status.to_string(), self.success(binding, schemas)?);
        if policy.may_be_accepted && policy.success_status != 202 {
            let nothing = Object::new().with("type", "object").with("maxProperties", 0_i64);
            let content = Object::new().with("schema", nothing).with("example", Object::new());
            responses.set(
                "202",
                Object::new()
                    .with("description", "It was taken; there is nothing to say of it yet.")
                    .with("headers", self.headers(binding, false))
                    .with("content", Object::new().with("application/json", content)),
            );
        }
        let is_read = binding.verb == "get" && !self.method.is_server_streaming();
        if is_read && policy.success_status == 200 {
            responses.set("304", reference("responses", "NotModified"));
        }
        let said = |code: &str| {
            let found: Vec<&str> = text
                .errors
                .iter()
                .filter(|(name, said)| name == code && !said.is_empty())
                .map(|(_, said)| said.as_str())
                .collect();
            (!found.is_empty()).then(|| found.join("; "))
        };
        let names = |code: &str| text.errors.iter().any(|(name, _)| name == code);
        let has_body = !binding.body.is_empty();
        let conflicts: Vec<String> =
            ["ALREADY_EXISTS", "ABORTED", "FAILED_PRECONDITION"].into_iter().filter_map(said).collect();
        let conflict = (!conflicts.is_empty()).then(|| conflicts.join("; "));
        let may_conflict =
            policy.takes_key() || ["ALREADY_EXISTS", "ABORTED", "FAILED_PRECONDITION"].into_iter().any(names);
        for (status, may_be, said) in [
            (400, true, said("INVALID_ARGUMENT")),
            (401, policy.asks() || names("UNAUTHENTICATED"), said("UNAUTHENTICATED")),
            (403, policy.asks() || names("PERMISSION_DENIED"), said("PERMISSION_DENIED")),
            (404, policy.resource.is_some() || names("NOT_FOUND"), said("NOT_FOUND")),
            (406, self.method.is_server_streaming(), None),
            (408, has_body, None),
            (409, may_conflict, conflict),
            (413, has_body, None),
            (415, has_body, None),
            (422, policy.takes_key(), None),
            (429, true, said("RESOURCE_EXHAUSTED")),
            (500, true, None),
            (503, true, said("UNAVAILABLE")),
            (504, true, None),
        ] {
            if let Some(failure) = answers::failure(status, said.as_deref()).filter(|_| may_be) {
                responses.set(status.to_string(), failure);
            }
        }
        Ok(responses)
    }

    fn success(&self, binding: &Binding, schemas: &Schemas<'_>) -> Result<Object> {
        let output = self.method.output();
        let response = Object::new()
            .with("description", schemas.summary(&output))
            .with("headers", self.headers(binding, true));
        if self.policy.success_status == 204 {
            return Ok(response);
        }
        if self.method.is_server_streaming() {
            let events = self.events(schemas)?;
            let lines = self.stream_lines(schemas)?;
            let content = Object::new()
                .with("text/event-stream", events)
                .with(NDJSON, lines.clone())
                .with("application/jsonl", lines);
            return Ok(response.with("content", content));
        }
        let (schema, example) = match binding.answer.as_str() {
            "" => (
                reference("schemas", &schemas.name(&output, Role::Answer)?),
                example::message(schemas, &output, Role::Answer)?,
            ),
            field => {
                let field = answer_field(&self.method, field)?;
                (schemas.field(&field, Role::Answer)?, example::value(schemas, &field, Role::Answer, 0)?)
            }
        };
        let schema = if self.method.full_name() == LINES.0 {
            let pool = self.method.parent_pool();
            let uploaded = pool.get_message_by_name(LINES.2).context("what an upload is answered")?;
            // To a batch, or to lines.
            let either = [schema, reference("schemas", &schemas.name(&uploaded, Role::Answer)?)];
            Object::new().with("anyOf", either)
        } else {
            schema
        };
        let media = Object::new().with("schema", schema).with("example", example);
        Ok(response.with("content", Object::new().with("application/json", media)))
    }

    fn headers(&self, binding: &Binding, is_success: bool) -> Object {
        let mut headers = answers::on_routes();
        let mut add = |name: &str| headers.set(name, reference("headers", name));
        add("Cache-Control");
        if is_success && binding.verb == "get" && !self.method.is_server_streaming() {
            add("ETag");
        }
        if is_success && self.policy.takes_key() {
            add("Idempotency-Replayed");
        }
        if binding.deprecated {
            add("Deprecation");
            add("Sunset");
            add("Link");
        }
        headers
    }

    fn security(&self) -> Vec<Object> {
        if !self.policy.asks() {
            return Vec::new();
        }
        let scopes = if self.policy.scope.is_empty() { Vec::new() } else { vec![self.policy.scope.clone()] };
        let mut ways = vec![Object::new().with("bearer", scopes)];
        if self.method.is_server_streaming() {
            ways.push(Object::new().with("ticket", Vec::<Node>::new()));
        }
        ways
    }
}

fn answer_field(method: &MethodDescriptor, name: &str) -> Result<FieldDescriptor> {
    let output = method.output();
    output.get_field_by_name(name).with_context(|| format!("{} has no {name}", output.full_name()))
}

/// `GetPet` to `getPet`; of a path without a version, `getPetBare`.
fn operation_id(name: &str, binding: &Binding) -> String {
    let mut letters = name.chars();
    let first: String = letters.next().map(|first| first.to_lowercase().collect()).unwrap_or_default();
    format!("{first}{}{}", letters.as_str(), if binding.deprecated { "Bare" } else { "" })
}

/// `SafeZoneService` to `Safe zone`.
pub(crate) fn tag(service: &str) -> String {
    let mut tag = String::new();
    for letter in service.strip_suffix("Service").unwrap_or(service).chars() {
        if letter.is_ascii_uppercase() && !tag.is_empty() {
            tag.push(' ');
            tag.push(letter.to_ascii_lowercase());
        } else {
            tag.push(letter);
        }
    }
    tag
}
