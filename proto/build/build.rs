//! Generates types, JSON and method policies from the protos, with no protoc installed.
//!
//! Invariant: a method without a complete policy does not build.

mod policies;
mod types;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, ensure};
use prost_reflect::DescriptorPool;

use policies::{shout, text};

const PROTOS: &[&str] = &[
    "petty/options/v1/policy.proto",
    "petty/auth/v1/account.proto",
    "petty/auth/v1/credential.proto",
    "petty/auth/v1/session.proto",
    "petty/auth/v1/token.proto",
    "petty/auth/v1/pet.proto",
    "petty/auth/v1/personal_token.proto",
    "petty/auth/v1/staff.proto",
    "petty/auth/v1/access.proto",
    "petty/auth/v1/operations.proto",
    "petty/auth/v1/second_factor.proto",
    "petty/ingest/v1/ingest.proto",
    "petty/ingest/v1/relay.proto",
    "petty/ingest/v1/upload.proto",
    "petty/behavior/v1/behavior.proto",
    "petty/behavior/v1/alert.proto",
    "petty/behavior/v1/safe_zone.proto",
    "petty/nutrition/v1/nutrition.proto",
    "petty/timeline/v1/timeline.proto",
    "petty/feedback/v1/feedback.proto",
    "petty/events/v1/events.proto",
    "petty/events/v1/operations.proto",
];

/// The packages that clients see.
const WITH_JSON: &[&str] = &[
    ".petty.auth",
    ".petty.ingest",
    ".petty.behavior",
    ".petty.nutrition",
    ".petty.timeline",
    ".petty.feedback",
];

#[expect(clippy::disallowed_methods, reason = "this is how cargo talks to a build script")]
fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=petty");
    println!("cargo:rerun-if-changed=google");
    println!("cargo:rerun-if-changed=build");

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_source_info(true).include_imports(true).open_files(PROTOS)?;
    // Encoded by protox itself: prost's typed set would drop the extensions.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("policies.rs"), policies::policies(&pool)?)?;
    fs::write(out.join("handlers.rs"), handlers(&pool)?)?;
    types::types(&compiler, &encoded, &out, "crate::wkt", true, WITH_JSON)
}

/// The macro `petty_handlers!`: for each service a handler trait, and tonic's server trait for the chassis' `Guarded`
/// handler, so that no method can be served that was not let through the gate first.
fn handlers(pool: &DescriptorPool) -> Result<String> {
    let extension = pool
        .get_extension_by_name("petty.options.v1.policy")
        .ok_or_else(|| anyhow!("petty.options.v1.policy is not defined"))?;
    let mut code = String::from(
        "/// Handler traits of all services, and what serves them once the gate has let a call through; for the chassis.\n\
         #[macro_export]\nmacro_rules! petty_handlers { () => {\n",
    );
    for service in pool.services().filter(|service| service.full_name().starts_with("petty.")) {
        let module = format!(
            "$crate::{}",
            service.parent_file().package_name().replacen("petty.", "", 1).replace('.', "::")
        );
        let name = service.name();
        let server = format!("{module}::{}_server", snake(name));
        let mut traits = String::new();
        let mut impls = String::new();
        for method in service.methods() {
            let rpc = snake(method.name());
            let input = format!("{module}::{}", message_path(&method.input())?);
            let output = format!("{module}::{}", message_path(&method.output())?);
            let constant = shout(&format!("{name}{}", method.name()));
            let value = method.options().get_extension(&extension).into_owned();
            let policy = value.as_message().context("a policy is a message")?;
            let named = if policy.has_field_by_name("resource") {
                let resource = policy.get_field_by_name("resource").context("resource")?;
                let field = text(resource.as_message().context("resource")?, "field");
                if field.contains('.') {
                    "None".to_owned()
                } else {
                    format!("Some(request.get_ref().{field}.as_str())")
                }
            } else {
                "None".to_owned()
            };
            let (answer, response, finish) = if method.is_server_streaming() {
                let stream = format!("{}Stream", method.name());
                writeln!(impls, "type {stream} = StatusStream<{output}>;")?;
                (format!("Streaming<{output}>"), format!("Self::{stream}"), "finish_stream")
            } else {
                (output.clone(), output, "finish")
            };
            let (asked, handed, given) = if method.is_client_streaming() {
                (
                    format!("tonic::Streaming<{input}>"),
                    format!("Requests<{input}>"),
                    "opened.requests(request.into_inner())",
                )
            } else {
                (input.clone(), input, "request.into_inner()")
            };
            writeln!(
                traits,
                "/// `{}`.\nasync fn {rpc}(&self, call: Call, request: {handed}) -> Result<{answer}, ApiError>;",
                method.full_name()
            )?;
            writeln!(
                impls,
                "async fn {rpc}(&self, request: tonic::Request<{asked}>) -> Result<tonic::Response<{response}>, tonic::Status> {{ \
                 let named = {named}; \
                 let opened = self.open(&$crate::policy::{constant}, &request, named).await?; \
                 let work = self.handler().{rpc}(opened.call(), {given}); \
                 opened.{finish}(work).await }}"
            )?;
        }
        write!(
            code,
            "/// What answers `{}`.\n#[tonic::async_trait]\npub trait {name}Handler: Send + Sync + 'static {{\n{traits}}}\n\
             #[tonic::async_trait]\nimpl<H: {name}Handler> {server}::{name} for Guarded<H> {{\n{impls}}}\n",
            service.full_name()
        )?;
    }
    code.push_str("}}\n");
    Ok(code)
}

/// A message's path within its package's module.
fn message_path(message: &prost_reflect::MessageDescriptor) -> Result<String> {
    ensure!(message.parent_message().is_none(), "{} is nested", message.full_name());
    Ok(message.name().to_owned())
}

/// `PetService` to `pet_service`.
fn snake(name: &str) -> String {
    shout(name).to_ascii_lowercase()
}
