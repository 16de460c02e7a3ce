//! The WebSocket `GET /v1/stream`, as an app holds it open.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

pub use tokio_tungstenite::tungstenite::Error;

/// What is waited for comes within this time: that somebody no longer looks is known after 20 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// An open socket.
#[derive(Debug)]
pub struct Socket(WebSocketStream<TcpStream>);

/// What a socket hears.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Told(Value),
    /// The other side closed it, with this code; with none the connection just broke.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens one at a gateway.
    ///
    /// # Errors
    /// Where nobody is there, or the handshake is refused.
    ///
    /// # Panics
    /// Where the token is no header.
    pub async fn open(at: SocketAddr, token: &str) -> Result<Self, Error> {
        let mut request = format!("ws://{at}/v1/stream").into_client_request()?;
        let authorization = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", authorization);
        let stream = TcpStream::connect(at).await?;
        let (socket, _answer) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self(socket))
    }

    /// Asks for a pet's updates, after `last_event_id` where there is one.
    ///
    /// # Errors
    /// Where the socket is closed.
    pub async fn subscribe(&mut self, pet_id: &str, last_event_id: Option<&str>) -> Result<(), Error> {
        let mut message = json!({"type": "SUBSCRIBE", "pet_id": pet_id});
        if let Some(id) = last_event_id {
            message["last_event_id"] = json!(id);
        }
        self.0.send(Message::text(message.to_string())).await
    }

    /// What comes next. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Heard::Told(serde_json::from_str(&text).unwrap_or(Value::Null));
                }
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map(|frame| frame.code.into()));
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }

    /// The next message of this type about this pet; others are passed over.
    ///
    /// # Panics
    /// Where it does not come in time, or the socket is closed.
    pub async fn told(&mut self, kind: &str, pet_id: &str) -> Value {
        let told = async {
            loop {
                match self.next().await {
                    Heard::Told(told) if told["type"] == kind && told["pet_id"] == pet_id => return told,
                    Heard::Told(_) => {}
                    Heard::Closed(code) => panic!("closed by {code:?} instead of {kind}"),
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        told.unwrap_or_else(|_| panic!("no {kind} of {pet_id} within {PATIENCE:?}"))
    }

    /// The code with which the other side closes it; what it says before is passed over.
    ///
    /// # Panics
    /// Where it does not in time.
    pub async fn closed(&mut self) -> Option<u16> {
        let closed = async {
            loop {
                if let Heard::Closed(code) = self.next().await {
                    return code;
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("it is closed in time")
    }
}
