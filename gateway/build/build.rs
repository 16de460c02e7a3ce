//! Generates the routes, and the document that describes them, from the protos' `google.api.http` annotations, with no protoc
//! installed.
//!
//! Invariant: what the gateway cannot translate does not build: streams of requests, bodies of GET, maps by anything but names,
//! groups and `Any`, a part of a path that is a list, a message or one of several alternatives, a route on a method for services.
//!
//! What no proto of ours uses yet is translated all the same: `testing/` has a service that uses it, for the tests alone.

mod bindings;
mod generator;
mod messages;
#[path = "../../proto/build/policies.rs"]
mod policies;
#[path = "../src/template.rs"]
mod template;
#[path = "../../proto/build/types.rs"]
mod types;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use prost_reflect::DescriptorPool;

use generator::Generator;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folders in the environment")]
fn main() -> Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let (protos, testing) = (here.join("../proto"), here.join("testing"));
    for path in ["build", "testing", "src/template.rs", "../proto/build", "../proto/petty", "../proto/google"]
    {
        println!("cargo:rerun-if-changed={path}");
    }

    let (_, encoded) = compile(&[&protos], &protos.join("petty"))?;
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("routes.rs"), Generator::new(&pool, "petty_proto")?.generate()?)?;
    fs::write(out.join("openapi.json"), petty_openapi::document(&pool, &env::var("CARGO_PKG_VERSION")?)?)?;

    let (compiler, encoded) = compile(&[&testing, &protos], &testing)?;
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("testing_routes.rs"), Generator::new(&pool, "crate::conformance")?.generate()?)?;
    fs::write(out.join("testing_policies.rs"), policies::policies(&pool)?)?;
    types::types(&compiler, &encoded, &out, "::petty_proto::wkt", false, &[".petty.testing"])
}

/// Compiles all protos of a folder.
fn compile(roots: &[&PathBuf], folder: &Path) -> Result<(protox::Compiler, Vec<u8>)> {
    let mut files = Vec::new();
    find_protos(folder, &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new(roots)?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    // Encoded by protox itself: prost's typed set would drop the extensions.
    let encoded = compiler.encode_file_descriptor_set();
    Ok((compiler, encoded))
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
