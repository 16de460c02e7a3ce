//! What of a stream a client reads: events, or lines.

use anyhow::{Context as _, Result};

use crate::example;
use crate::node::{Object, reference};
use crate::operation::Operation;
use crate::schema::{Role, Schemas};

impl Operation {
    /// Each of the lines of a stream.
    pub(crate) fn stream_lines(&self, schemas: &Schemas<'_>) -> Result<Object> {
        let output = self.method.output();
        let last = Object::new()
            .with("type", "object")
            .with("description", "The last line of a stream that ends for a reason.")
            .with("properties", Object::new().with("error", reference("schemas", "Problem")))
            .with("required", ["error"]);
        let schema = Object::new()
            .with("description", "One of the lines. An empty one says that the stream is still there.")
            .with("anyOf", [reference("schemas", &schemas.name(&output, Role::Answer)?), last]);
        let example = example::message(schemas, &output, Role::Answer)?;
        Ok(Object::new().with("schema", schema).with("example", example))
    }

    /// Each of the server-sent events of a stream.
    pub(crate) fn events(&self, schemas: &Schemas<'_>) -> Result<Object> {
        let output = self.method.output();
        let field = output.get_field_by_name("type").context("what is streamed has no type")?;
        let kind = field.kind();
        let values = kind.as_enum().context("the type is no enum")?;
        let stated = values.values().filter(|value| value.number() != 0);
        let mut names: Vec<String> = stated.map(|value| value.name().to_ascii_lowercase()).collect();
        names.push("error".to_owned());
        let text = |description: &str| Object::new().with("type", "string").with("description", description);
        let data = text("JSON; of an `error`, a Problem.")
            .with("contentMediaType", "application/json")
            .with("contentSchema", reference("schemas", &schemas.name(&output, Role::Answer)?));
        let properties = Object::new()
            .with("id", text("What to come back with; an `error` has none."))
            .with("event", text("What kind of event it is.").with("enum", names))
            .with("data", data)
            .with(
                "retry",
                Object::new()
                    .with("type", "integer")
                    .with("description", "How long to wait before coming back, ms."),
            );
        let schema = Object::new()
            .with("type", "object")
            .with("description", "One of the server-sent events. In between come comments, which say that the stream is still there.")
            .with("properties", properties);
        let data = serde_json::to_string(&example::message(schemas, &output, Role::Answer)?)?;
        let example = Object::new().with("id", "8").with("event", "entry").with("data", data);
        Ok(Object::new().with("schema", schema).with("example", example))
    }
}
