//! Message types and servers by prost and tonic, JSON by pbjson.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// The well-known types that have a type of ours, whose JSON is canonical.
const OURS: &[&str] = &[
    "Timestamp",
    "Duration",
    "FieldMask",
    "Empty",
    "Struct",
    "Value",
    "ListValue",
    "BoolValue",
    "BytesValue",
    "DoubleValue",
    "FloatValue",
    "Int32Value",
    "Int64Value",
    "StringValue",
    "UInt32Value",
    "UInt64Value",
];

/// Generates them. `wkt` is where the well-known types are; of `packages` there is JSON.
pub(crate) fn types(
    compiler: &protox::Compiler,
    encoded: &[u8],
    out: &Path,
    wkt: &str,
    clients: bool,
    packages: &[&str],
) -> Result<()> {
    let mut config = prost_build::Config::new();
    let mut json = pbjson_build::Builder::new();
    json.register_descriptors(encoded)?.preserve_proto_field_names().emit_fields().out_dir(out);
    config.compile_well_known_types().bytes([".petty.events.v1.Envelope"]).out_dir(out);
    for name in OURS {
        config.extern_path(format!(".google.protobuf.{name}"), format!("{wkt}::{name}"));
        json.extern_path(format!(".google.protobuf.{name}"), format!("{wkt}::{name}"));
    }
    tonic_prost_build::configure()
        .build_client(clients)
        .build_transport(clients)
        .out_dir(out)
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    json.build(packages)?;
    numbers(out, wkt)
}

/// Has the generated readers of JSON read numbers by `wkt::Number` instead of pbjson's own, which is slow.
fn numbers(out: &Path, wkt: &str) -> Result<()> {
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.ends_with(".serde.rs")) {
            let code = fs::read_to_string(&path)?;
            let code = code.replace("::pbjson::private::NumberDeserialize<", &format!("{wkt}::Number<"));
            fs::write(&path, code)?;
        }
    }
    Ok(())
}
