//! Message types and servers by prost and tonic, JSON by pbjson.

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
    Ok(())
}
