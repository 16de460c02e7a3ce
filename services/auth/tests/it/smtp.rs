//! A mail server as far as tests need one: takes what it is given, and can be away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use petty_chassis::{Shutdown, Tasks};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server that keeps what it was given.
pub(crate) struct Smtp {
    pub(crate) address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
    shutdown: Shutdown,
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Smtp {
    /// Listens there; refuses recipients whose address holds `nobody`, for good.
    pub(crate) async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mails, shutdown) = (Arc::<Mutex<Vec<String>>>::default(), Shutdown::new());
        let tasks = Tasks::new(shutdown.clone());
        let (kept, serving, cancelled) = (mails.clone(), tasks.clone(), shutdown.clone());
        tasks.spawn("smtp", async move {
            let accepting = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    serving.spawn("smtp-connection", converse(stream, kept.clone()));
                }
            };
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = accepting => {}
            }
        });
        Self { address, mails, shutdown }
    }

    /// What was given so far.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

async fn converse(stream: TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mail: Option<String> = None;
    write.write_all(b"220 stand-in\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match (&mut mail, line.to_ascii_uppercase().as_str()) {
            (Some(text), ".") => {
                kept.lock().unwrap().push(std::mem::take(text));
                mail = None;
                "250 taken"
            }
            (Some(text), _) => {
                text.push_str(&line);
                text.push('\n');
                continue;
            }
            (None, "DATA") => {
                mail = Some(String::new());
                "354 go on"
            }
            (None, "QUIT") => "221 bye",
            (None, upper) if upper.starts_with("RCPT") && upper.contains("NOBODY") => "550 no such mailbox",
            (None, _) => "250 fine",
        };
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
