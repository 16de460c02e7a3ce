//! What a method's options say: its bindings to verbs and paths, and for whom it is.

use anyhow::{Context as _, Result, anyhow, ensure};
use prost_reflect::{DynamicMessage, MethodDescriptor};

use crate::policies::text;

/// What one `HttpRule` binding says.
pub(crate) struct Binding {
    pub(crate) verb: &'static str,
    pub(crate) template: String,
    pub(crate) takes_body: bool,
    /// The field that the body is, where it is not all of the request.
    pub(crate) body_field: Option<String>,
    /// The field of the answer that is sent, where it is not all of it.
    pub(crate) answer_field: Option<String>,
}

pub(crate) fn bindings(rule: &DynamicMessage) -> Result<Vec<Binding>> {
    let mut found = Vec::new();
    for (name, verb) in
        [("get", "Get"), ("put", "Put"), ("post", "Post"), ("delete", "Delete"), ("patch", "Patch")]
    {
        if rule.has_field_by_name(name) {
            let body = text(rule, "body");
            ensure!(
                // Some removals say more than what is to be removed.
                verb == "Delete" || body.is_empty() == (verb == "Get"),
                "{name} and the body {body:?} do not go together"
            );
            found.push(Binding {
                verb,
                template: text(rule, name),
                takes_body: !body.is_empty(),
                body_field: Some(body).filter(|body| !body.is_empty() && body != "*"),
                answer_field: Some(text(rule, "response_body")).filter(|field| !field.is_empty()),
            });
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

/// Whether a path states its version, or is one of the well-known ones, which have none.
pub(crate) fn is_versioned(template: &str) -> bool {
    template.starts_with("/v1/") || template.starts_with("/.well-known/")
}

pub(crate) fn audience_is_outside(method: &MethodDescriptor) -> Result<bool> {
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
