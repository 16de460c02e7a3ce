//! What a method's options say: its routes and its policy.

use anyhow::{Context as _, Result, bail, ensure};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _};

/// A verb and path that stand for a method.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// In lower case.
    pub(crate) verb: &'static str,
    pub(crate) path: String,
    /// `*`, a field, or nothing.
    pub(crate) body: String,
    /// A field, or nothing.
    pub(crate) answer: String,
    /// Whether another of the method's paths replaces it.
    pub(crate) deprecated: bool,
}

/// What a method says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) audience: String,
    pub(crate) scope: String,
    pub(crate) roles: Vec<String>,
    pub(crate) repeat: String,
    pub(crate) rate_class: String,
    pub(crate) deadline_ms: i64,
    pub(crate) success_status: u32,
    pub(crate) lenient: bool,
    pub(crate) may_be_accepted: bool,
    /// Field, kind and need.
    pub(crate) resource: Option<(String, String, String)>,
}

impl Policy {
    /// Whether a token is needed.
    pub(crate) fn asks(&self) -> bool {
        self.audience != "PUBLIC"
    }

    /// Whether a second sending is known by its key.
    pub(crate) fn takes_key(&self) -> bool {
        self.repeat.starts_with("REQUEST_ID")
    }
}

/// The fields that a path names.
pub(crate) fn parameters(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

/// The ways to a method, the first being its own.
pub(crate) fn bindings(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Vec<Binding>> {
    let extension = pool.get_extension_by_name("google.api.http").context("no google.api.http")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    rule(options.get_extension(&extension).as_message().context("an HttpRule")?, &mut found)?;
    let is_versioned = |path: &str| path.starts_with("/v1/") || path.starts_with("/.well-known/");
    if found.iter().any(|binding| is_versioned(&binding.path)) {
        for binding in &mut found {
            binding.deprecated = !is_versioned(&binding.path);
        }
    }
    Ok(found)
}

fn rule(rule_: &DynamicMessage, found: &mut Vec<Binding>) -> Result<()> {
    let Some(verb) =
        ["get", "put", "post", "delete", "patch"].into_iter().find(|verb| rule_.has_field_by_name(verb))
    else {
        bail!("a binding without a verb")
    };
    let path = plain(&text(rule_, verb));
    ensure!(path.starts_with('/'), "{path} does not begin with /");
    found.push(Binding {
        verb,
        path,
        body: text(rule_, "body"),
        answer: text(rule_, "response_body"),
        deprecated: false,
    });
    if let Some(more) = rule_.get_field_by_name("additional_bindings") {
        for more in more.as_list().unwrap_or_default() {
            rule(more.as_message().context("an HttpRule")?, found)?;
        }
    }
    Ok(())
}

/// A template without the patterns of its variables: `{name=shelves/*}` is `{name}`.
fn plain(template: &str) -> String {
    let mut plain = String::new();
    for (at, part) in template.split('{').enumerate() {
        match part.split_once('}').filter(|_| at > 0) {
            Some((variable, after)) => {
                let name = variable.split('=').next().unwrap_or_default();
                plain.push_str(&format!("{{{name}}}{after}"));
            }
            None => plain.push_str(part),
        }
    }
    plain
}

/// A method's policy.
pub(crate) fn policy(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Policy> {
    let extension =
        pool.get_extension_by_name("petty.options.v1.policy").context("no petty.options.v1.policy")?;
    let options = method.options();
    let value = options.get_extension(&extension);
    let policy = value.as_message().context("a policy")?;
    let flag =
        |name: &str| policy.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default();
    let number =
        |name: &str| policy.get_field_by_name(name).and_then(|value| value.as_u32()).unwrap_or_default();
    let roles = policy.get_field_by_name("roles");
    let resource = if policy.has_field_by_name("resource") {
        let value = policy.get_field_by_name("resource").context("resource")?;
        let resource = value.as_message().context("resource is a message")?;
        Some((text(resource, "field"), value_name(resource, "kind")?, value_name(resource, "need")?))
    } else {
        None
    };
    Ok(Policy {
        audience: value_name(policy, "audience")?,
        scope: text(policy, "scope"),
        roles: roles
            .and_then(|roles| {
                Some(roles.as_list()?.iter().filter_map(|role| Some(role.as_str()?.to_owned())).collect())
            })
            .unwrap_or_default(),
        repeat: value_name(policy, "repeat")?,
        rate_class: value_name(policy, "rate_class")?,
        deadline_ms: number("deadline_ms").into(),
        success_status: number("success_status"),
        lenient: flag("lenient_json"),
        may_be_accepted: flag("may_be_accepted"),
        resource,
    })
}

fn value_name(message: &DynamicMessage, field: &str) -> Result<String> {
    let descriptor = message.descriptor().get_field_by_name(field).with_context(|| field.to_owned())?;
    let kind = descriptor.kind();
    let values = kind.as_enum().with_context(|| format!("{field} is an enum"))?;
    let number = message.get_field(&descriptor).as_enum_number().unwrap_or_default();
    Ok(values.get_value(number).with_context(|| format!("{field} {number}"))?.name().to_owned())
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
