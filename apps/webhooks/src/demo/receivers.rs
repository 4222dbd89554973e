//! The four receivers of the demonstration: starting them as processes of their own, and asking for their
//! books.

use std::fmt;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use axum::body::Bytes;
use axum::http::Uri;
use http_body_util::{BodyExt as _, Full};
use serde::de::DeserializeOwned;

use crate::delivery::HttpClient;
use crate::receiver::plan::Kind;
use crate::receiver::{Counts, SECRET_VARIABLE, parse_announcement};
use crate::signature::Secret;

/// A running receiver process; dropping it ends the process.
#[derive(Debug)]
pub(crate) struct ReceiverProcess {
    /// Its character.
    pub(crate) kind: Kind,
    /// Where deliveries go.
    pub(crate) data: SocketAddr,
    control: SocketAddr,
    child: Child,
}

/// Something about a receiver went wrong.
#[derive(Debug)]
pub(crate) struct ReceiverError {
    kind: Kind,
    what: String,
}

impl fmt::Display for ReceiverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver `{}` {}", self.kind.name(), self.what)
    }
}

impl std::error::Error for ReceiverError {}

impl ReceiverProcess {
    /// Starts this program once more, as a receiver, and waits for its addresses.
    pub(crate) fn start(kind: Kind, seed: u64, secret: &Secret, lying: bool) -> Result<Self, ReceiverError> {
        let error = |what: String| ReceiverError { kind, what };
        let failed = |e: io::Error| error(format!("could not be started: {e}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["receiver", "--kind", kind.name(), "--seed", &seed.to_string()]);
        if lying {
            command.arg("--lying");
        }
        let mut child = command
            .env(SECRET_VARIABLE, secret.reveal())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its standard output is piped");
        BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        let addresses = parse_announcement(&line)
            .and_then(|(data, control)| Some((data.parse().ok()?, control.parse().ok()?)));
        let Some((data, control)) = addresses else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error(format!("announced itself with {line:?} instead of its addresses")));
        };
        Ok(ReceiverProcess { kind, data, control, child })
    }

    /// The operating system's process id.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The receiver's counts.
    pub(crate) async fn counts(&self, client: &HttpClient) -> Result<Counts, ReceiverError> {
        self.ask(client, "/counts").await
    }

    /// The ids that the receiver took.
    pub(crate) async fn ids(&self, client: &HttpClient) -> Result<Vec<String>, ReceiverError> {
        self.ask(client, "/ids").await
    }

    async fn ask<T: DeserializeOwned>(&self, client: &HttpClient, path: &str) -> Result<T, ReceiverError> {
        let error = |e: &dyn fmt::Display| ReceiverError {
            kind: self.kind,
            what: format!("does not give its books ({path}): {e}"),
        };
        let url: Uri = format!("http://{}{path}", self.control).parse().map_err(|e| error(&e))?;
        let request = hyper::Request::get(url).body(Full::<Bytes>::default()).map_err(|e| error(&e))?;
        let response = client.request(request).await.map_err(|e| error(&e))?;
        let body = response.into_body().collect().await.map_err(|e| error(&e))?.to_bytes();
        serde_json::from_slice(&body).map_err(|e| error(&e))
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        // It would end by itself with its standard input; killing and waiting leaves no zombie behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
