//! A service as a process of its own: exit codes, signals, log lines, and being killed.

use std::net::{SocketAddr, TcpListener};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use petty_chassis::config::Environment;
use petty_chassis::grpc::Server;
use petty_chassis::{Context, Running, Service};
use petty_proto::auth::v1::GetMeRequest;
use petty_proto::auth::v1::account_service_server::AccountServiceServer;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tonic::Request;

use crate::fixture::{Act, Keys, SOON, Stub, client, eventually, mesh};

/// Makes [`as_a_process`] the service instead of a test.
const AS_A_PROCESS: &str = "run-as-a-service";

/// A service that answers; or hangs on its first call, or fails, if its configuration says so.
struct Auth;

struct Config {
    mode: String,
}

impl petty_chassis::config::Section for Config {
    fn read(reader: &mut petty_chassis::config::Reader<'_>) -> Option<Self> {
        Some(Self { mode: reader.required("PETTY_TEST_MODE")? })
    }
}

impl Service for Auth {
    const NAME: &'static str = "auth";
    type Config = Config;

    fn run(context: Context, config: Config) -> Running {
        Box::pin(async move {
            anyhow::ensure!(config.mode != "fail", "told to fail");
            let act = if config.mode == "hang" { Act::Hang } else { Act::Answer };
            let stub = Stub::new(vec![act]);
            Ok(Server::new(&context).add(AccountServiceServer::new(stub)).serve().await?)
        })
    }
}

/// Not a test by itself: the others start this binary again with an argument that makes it the service.
#[test]
fn as_a_process() {
    if !std::env::args().any(|argument| argument == AS_A_PROCESS) {
        return;
    }
    let code = petty_chassis::main::<Auth>();
    let code = [0, 1, 78].into_iter().find(|known| ExitCode::from(*known) == code).unwrap_or(255);
    #[expect(clippy::disallowed_methods, reason = "the test harness would make its own of it")]
    std::process::exit(code.into());
}

/// The service, started; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(environment: &Environment) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process::as_a_process", AS_A_PROCESS, "--exact", "--nocapture"]).env_clear();
        for (name, value) in environment.iter() {
            command.env(name, value);
        }
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { child: child.spawn().unwrap() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// The exit code, and what it wrote.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let mut written = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        let ended = async {
            stderr.read_to_string(&mut written).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(SOON, ended).await.expect("it ends");
        (status.code(), written)
    }
}

/// A port that is free just now.
pub(crate) fn port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) struct Ports {
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
}

pub(crate) fn environment(keys: &Keys, mode: &str) -> (Environment, Ports) {
    let ports = Ports { grpc: port(), admin: port() };
    let environment = keys
        .environment("auth")
        .with("PETTY_TEST_MODE", mode)
        .with("PETTY_GRPC_LISTEN", ports.grpc.to_string())
        .with("PETTY_ADMIN_LISTEN", ports.admin.to_string());
    (environment, ports)
}

/// An HTTP answer of the admin port; empty where it does not answer.
async fn admin(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return String::new() };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).await.is_err()
        || stream.read_to_string(&mut answer).await.is_err()
    {
        return String::new();
    }
    answer
}

pub(crate) async fn ready(ports: &Ports) {
    eventually("it is ready", async || {
        admin(ports.admin, "GET", "/readyz", "").await.starts_with("HTTP/1.1 200")
    })
    .await;
}

/// What of the output is log lines: all but the test harness' own.
fn lines(written: &str) -> Vec<Value> {
    let lines = written.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

#[tokio::test]
async fn a_bad_configuration_names_every_fault_and_exits_78() {
    let environment =
        Environment::default().with("PETTY_GRPC_LISTEN", "here").with("PETTY_GRACE_PERIOD", "soon");
    let (code, written) = Process::start(&environment).end().await;
    assert_eq!(code, Some(78), "{written}");
    for name in [
        "PETTY_GRPC_LISTEN",
        "PETTY_GRACE_PERIOD",
        "PETTY_SERVICE_KEY",
        "PETTY_SERVICE_KEYS",
        "PETTY_TEST_MODE",
    ] {
        assert!(written.contains(&format!("petty-auth: {name}: ")), "{name} in:\n{written}");
    }
}

#[tokio::test]
async fn a_service_that_fails_exits_1_and_logs_why_once() {
    let keys = Keys::new();
    let (code, written) = Process::start(&environment(&keys, "fail").0).end().await;
    assert_eq!(code, Some(1), "{written}");
    let said = lines(&written).iter().filter(|line| line.to_string().contains("told to fail")).count();
    assert_eq!(said, 1, "{written}");
}

#[tokio::test]
async fn a_service_drains_on_a_signal_and_logs_each_request_with_its_ids() {
    let keys = Keys::new();
    let (environment, ports) = environment(&keys, "answer");
    let process = Process::start(&environment.with("PETTY_INSTANCE", "a1"));
    ready(&ports).await;
    let mesh = mesh(&keys, "gateway", &[format!("http://{}", ports.grpc)]);
    let mut request = Request::new(GetMeRequest {});
    request
        .metadata_mut()
        .insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    client(&mesh).get_me(request).await.unwrap();
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    let metrics = admin(ports.admin, "GET", "/metrics", "").await;
    assert!(
        metrics.contains(
            "rpc_server_duration_seconds_count{code=\"OK\",method=\"/petty.auth.v1.AccountService/GetMe\""
        ),
        "{metrics}"
    );
    process.signal(Signal::SIGTERM);
    let (code, written) = process.end().await;
    assert_eq!(code, Some(0), "{written}");
    let lines = lines(&written);
    assert!(lines.iter().all(|line| line["service"] == "auth" && line["instance"] == "a1"), "{written}");
    let acting: Vec<_> = lines.iter().filter(|line| line["message"] == "acting").collect();
    let [first, second] = acting.as_slice() else { panic!("{written}") };
    assert_eq!(first["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{first}");
    assert!(
        second["trace_id"].as_str().is_some_and(|id| id.len() == 32 && id != first["trace_id"]),
        "{second}"
    );
    assert!(
        first["request_id"].is_string() && first["request_id"] != second["request_id"],
        "{first} {second}"
    );
}

#[tokio::test]
async fn the_log_filter_is_changed_while_it_runs() {
    let keys = Keys::new();
    let (environment, ports) = environment(&keys, "answer");
    let process = Process::start(&environment.with("PETTY_LOG", "warn"));
    ready(&ports).await;
    let mesh = mesh(&keys, "gateway", &[format!("http://{}", ports.grpc)]);
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    assert!(admin(ports.admin, "GET", "/log-filter", "").await.ends_with("warn\n"));
    assert!(admin(ports.admin, "PUT", "/log-filter", "info,x==y").await.starts_with("HTTP/1.1 400"));
    assert!(admin(ports.admin, "PUT", "/log-filter", "info").await.starts_with("HTTP/1.1 204"));
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    process.signal(Signal::SIGINT);
    let (code, written) = process.end().await;
    assert_eq!(code, Some(0), "{written}");
    let acting = lines(&written).iter().filter(|line| line["message"] == "acting").count();
    assert_eq!(acting, 1, "{written}");
}

#[tokio::test]
async fn the_grace_ends_and_a_second_signal_does_not_wait_for_it() {
    let keys = Keys::new();
    for (grace, signals, code) in [("300ms", 1, 0), ("1h", 2, 130)] {
        let (environment, ports) = environment(&keys, "hang");
        let process = Process::start(&environment.with("PETTY_GRACE_PERIOD", grace));
        ready(&ports).await;
        let mesh = mesh(&keys, "gateway", &[format!("http://{}", ports.grpc)]);
        let mut caller = client(&mesh);
        let (refused, (ended, written)) = tokio::join!(caller.get_me(GetMeRequest {}), async {
            eventually("the call hangs", async || {
                let metrics = admin(ports.admin, "GET", "/metrics", "").await;
                metrics.contains("rpc_server_in_flight{service=\"auth\"} 1")
                    || metrics
                        .lines()
                        .any(|line| line.starts_with("rpc_server_in_flight{") && line.ends_with(" 1"))
            })
            .await;
            for _ in 0..signals {
                process.signal(Signal::SIGTERM);
                eventually("it is not ready", async || {
                    !admin(ports.admin, "GET", "/readyz", "").await.starts_with("HTTP/1.1 200")
                })
                .await;
            }
            process.end().await
        });
        assert_eq!(ended, Some(code), "{written}");
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn a_service_that_was_killed_is_called_again_once_it_is_back() {
    let keys = Keys::new();
    let (environment, ports) = environment(&keys, "answer");
    let mesh = mesh(&keys, "gateway", &[format!("http://{}", ports.grpc)]);
    for _ in 0..3 {
        let process = Process::start(&environment);
        ready(&ports).await;
        let since = Instant::now();
        eventually("it answers", async || client(&mesh).get_me(GetMeRequest {}).await.is_ok()).await;
        assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
        process.signal(Signal::SIGKILL);
        process.end().await;
        let since = Instant::now();
        let refused = client(&mesh).get_me(GetMeRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    }
}
