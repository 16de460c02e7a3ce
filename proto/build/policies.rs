//! Each method's policy as a constant.
//!
//! Invariant: a method without a complete policy does not build.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};

/// The scopes there are. What `petty_chassis::caller` knows of them is tested against the policies.
const SCOPES: &[&str] = &["pets:read", "pets:write", "readings:write", "feedback:write", "staff"];
/// The platform roles there are.
const ROLES: &[&str] = &["support", "admin"];

/// One `MethodPolicy` constant a method, and `METHODS` with all of them.
pub(crate) fn policies(pool: &DescriptorPool) -> Result<String> {
    let extension = pool
        .get_extension_by_name("petty.options.v1.policy")
        .ok_or_else(|| anyhow!("petty.options.v1.policy is not defined"))?;
    let mut code = String::new();
    let mut names = Vec::new();
    for service in pool.services().filter(|service| service.full_name().starts_with("petty.")) {
        for method in service.methods() {
            let options = method.options();
            ensure!(options.has_extension(&extension), "{}: no petty.options.v1.policy", method.full_name());
            ensure!(
                !method.is_client_streaming() || method.is_server_streaming(),
                "{}: a stream of requests is answered by a stream",
                method.full_name()
            );
            let value = options.get_extension(&extension);
            let policy = value.as_message().context("a policy is a message")?;
            let name = shout(&format!("{}{}", service.name(), method.name()));
            let constant = policy_constant(&name, &method, policy)
                .with_context(|| format!("the policy of {}", method.full_name()))?;
            code.push_str(&constant);
            names.push(name);
        }
    }
    writeln!(code, "/// Every method of every service.")?;
    writeln!(
        code,
        "pub static METHODS: &[&MethodPolicy] = &[{}];",
        names.iter().map(|n| format!("&{n}, ")).collect::<String>()
    )?;
    Ok(code)
}

fn policy_constant(name: &str, method: &MethodDescriptor, policy: &DynamicMessage) -> Result<String> {
    let audience = enum_value(policy, "audience")?;
    let repeat = enum_value(policy, "repeat")?;
    let rate = enum_value(policy, "rate_class")?;
    let scope = text(policy, "scope");
    ensure!(scope.is_empty() || SCOPES.contains(&scope.as_str()), "there is no scope {scope:?}");
    let (services, roles) = (texts(policy, "services"), texts(policy, "roles"));
    ensure!(!services.is_empty(), "names no service that may call it");
    if let Some(role) = roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        bail!("there is no platform role {role:?}");
    }
    ensure!((scope == "staff") != roles.is_empty(), "the scope staff and platform roles go together");
    ensure!(
        matches!(audience.as_str(), "Account" | "AccountOrDevice") != scope.is_empty()
            || method.name() == "LogOut",
        "scope and audience contradict each other"
    );
    let deadline = number(policy, "deadline_ms");
    ensure!((1..=600_000).contains(&deadline), "deadline_ms {deadline} is not within 1 to 600,000");
    let status = number(policy, "success_status");
    ensure!([200, 201, 202, 204].contains(&status), "success_status {status}");
    let has_request_id = method.input().get_field_by_name("request_id").is_some();
    ensure!(
        has_request_id == repeat.starts_with("RequestId"),
        "repeat is {repeat}, but the request {} request_id",
        if has_request_id { "has" } else { "has no" }
    );
    let resource = resource(method, policy)?;
    let interactive = interactive(method, policy)?;
    let streams = method.is_server_streaming();
    let takes_stream = method.is_client_streaming();
    let lenient = policy.get_field_by_name("lenient_json").and_then(|v| v.as_bool()).unwrap_or_default();
    let accepts = policy.get_field_by_name("may_be_accepted").and_then(|v| v.as_bool()).unwrap_or_default();
    let full = method.full_name();
    let (package_service, rpc) = full.rsplit_once('.').context("a method has a service")?;
    Ok(format!(
        "/// `{full}`.\npub static {name}: MethodPolicy = MethodPolicy {{ path: \"/{package_service}/{rpc}\", \
         service: \"{package_service}\", method: \"{rpc}\", audience: Audience::{audience}, scope: {scope:?}, \
         roles: &{roles:?}, interactive: {interactive}, resource: {resource}, services: &{services:?}, repeat: Repeat::{repeat}, rate_class: RateClass::{rate}, \
         deadline: std::time::Duration::from_millis({deadline}), success_status: {status}, lenient_json: {lenient}, may_be_accepted: {accepts}, streams: {streams}, takes_stream: {takes_stream} }};\n"
    ))
}

/// Whether a method takes nobody but who is signed in: what is about the account itself does, unless it says otherwise.
fn interactive(method: &MethodDescriptor, policy: &DynamicMessage) -> Result<bool> {
    let audience = enum_value(policy, "audience")?;
    let stated = policy.get_field_by_name("session").and_then(|v| v.as_enum_number()).unwrap_or_default();
    ensure!(
        stated == 0 || audience.starts_with("Account"),
        "session is stated, but no account calls the method"
    );
    let of_auth = method.parent_file().package_name() == "petty.auth.v1";
    let of_account = of_auth && !policy.has_field_by_name("resource");
    let staff = text(policy, "scope") == "staff";
    ensure!(stated != 1 || !staff, "a personal access token is never for staff");
    Ok(audience.starts_with("Account") && (stated == 2 || (stated == 0 && (of_account || staff))))
}

fn resource(method: &MethodDescriptor, policy: &DynamicMessage) -> Result<String> {
    if !policy.has_field_by_name("resource") {
        return Ok("None".to_owned());
    }
    let value = policy.get_field_by_name("resource").context("resource")?;
    let resource = value.as_message().context("resource is a message")?;
    let field = text(resource, "field");
    let kind = enum_value(resource, "kind")?;
    let need = enum_value(resource, "need")?;
    // What one message names is not known when the call is let through.
    ensure!(
        !method.is_client_streaming() || kind == "Collars",
        "each message of a stream is decided on by itself"
    );
    let mut message = method.input();
    for (index, part) in field.split('.').enumerate() {
        let found = message
            .get_field_by_name(part)
            .ok_or_else(|| anyhow!("resource.field {field:?}: {} has no {part}", message.full_name()))?;
        match found.kind() {
            Kind::Message(inner) => message = inner,
            Kind::String if index + 1 == field.split('.').count() => {}
            other => bail!("resource.field {field:?} is a {other:?}"),
        }
    }
    Ok(format!("Some(Resource {{ field: {field:?}, kind: ResourceKind::{kind}, need: Need::{need} }})"))
}

pub(crate) fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn texts(message: &DynamicMessage, field: &str) -> Vec<String> {
    let value = message.get_field_by_name(field);
    let texts = value.and_then(|value| {
        value.as_list().map(|list| list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    });
    texts.unwrap_or_default()
}

fn number(message: &DynamicMessage, field: &str) -> u32 {
    message.get_field_by_name(field).and_then(|v| v.as_u32()).unwrap_or_default()
}

/// The CamelCase name of an enum field's value; the zero is refused.
fn enum_value(message: &DynamicMessage, field: &str) -> Result<String> {
    let descriptor =
        message.descriptor().get_field_by_name(field).ok_or_else(|| anyhow!("no field {field}"))?;
    let Kind::Enum(kind) = descriptor.kind() else { bail!("{field} is not an enum") };
    let value = message.get_field(&descriptor).into_owned();
    let Value::EnumNumber(number) = value else { bail!("{field} is not an enum") };
    ensure!(number != 0, "{field} is not stated");
    let value = kind.get_value(number).ok_or_else(|| anyhow!("{field} has no value {number}"))?;
    Ok(value.name().split('_').map(|word| word[..1].to_owned() + &word[1..].to_ascii_lowercase()).collect())
}

/// `PetServiceGetPet` to `PET_SERVICE_GET_PET`.
pub(crate) fn shout(name: &str) -> String {
    let mut shouted = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            shouted.push('_');
        }
        shouted.push(letter.to_ascii_uppercase());
    }
    shouted
}
