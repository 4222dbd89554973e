//! Proves that `serve` delivers what is posted to it, retries a failure under the same id, refuses bad input with its place, and stops in order on a signal.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A running `serve`; ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the configuration can be written");
    path
}

fn command(config: &PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhooks"));
    command.arg("serve").arg("--config").arg(config);
    command
}

fn serve(config: &PathBuf) -> Server {
    let mut child = command(config).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on http://").and_then(|rest| rest.split_once(": "));
    let address = address.unwrap_or_else(|| panic!("it said {line:?}")).0.to_owned();
    Server { child, address }
}

/// One request on a connection of its own; the whole answer.
fn ask(address: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Takes one request and answers with `status`: gives its head and its body.
fn receive(listener: &TcpListener, status: &str) -> (String, String) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = header(&head, "content-length").parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no `{name}` in\n{head}"))
}

fn config(url: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\n\
         [[endpoint]]\n\
         name = \"shop\"\n\
         url = \"{url}\"\n\
         secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n\
         events = [\"order.*\"]\n\
         backoff = {{ base = \"1ms\", cap = \"5ms\" }}\n"
    )
}

#[test]
fn a_posted_event_is_delivered_and_after_a_failure_sent_again_under_the_same_id() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let server = serve(&config_file("retry.toml", &config(&url)));
    let answer = ask(&server.address, "POST /events", r#"{"type": "order.paid", "payload": {"order": 7}}"#);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");

    let (first, body) = receive(&receiver, "500 Internal Server Error");
    let (second, same_body) = receive(&receiver, "200 OK");
    assert_eq!((body.as_str(), same_body.as_str()), (r#"{"order": 7}"#, r#"{"order": 7}"#));
    assert_eq!((header(&first, "webhook-attempt"), header(&second, "webhook-attempt")), ("1", "2"));
    let id = header(&first, "webhook-id");
    assert_eq!(id, header(&second, "webhook-id"));
    assert!(answer.contains(&format!(r#"{{"id":"{id}","endpoint":"shop"}}"#)), "{answer}");
}

#[test]
fn an_event_that_no_endpoint_wants_is_accepted_without_deliveries_and_a_wrong_one_is_refused() {
    let server = serve(&config_file("refusals.toml", &config("http://127.0.0.1:9/")));
    let unwanted = ask(&server.address, "POST /events", r#"{"type": "push", "payload": {}}"#);
    assert!(unwanted.starts_with("HTTP/1.1 202 ") && unwanted.contains(r#""deliveries":[]"#), "{unwanted}");
    let wrong = ask(&server.address, "POST /events", r#"{"type": "push"}"#);
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("missing field `payload`"), "{wrong}");
    let status = ask(&server.address, "GET /status", "");
    assert!(
        status.starts_with("HTTP/1.1 200 ") && status.contains(r#""endpoint":"shop","accepted":0"#),
        "{status}"
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line_and_key_and_the_exit_status_is_2() {
    let text = config("http://127.0.0.1:9/").replace("base = \"1ms\"", "base = \"soon\"");
    let path = config_file("wrong.toml", &text);
    let Output { status, stderr, .. } = command(&path).output().unwrap();
    let message = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(2), "{message}");
    let place =
        format!("webhooks: {}, line 7, `endpoint.backoff.base`: `soon` is not a duration", path.display());
    assert!(message.starts_with(&place), "{message}");
}

#[cfg(unix)]
#[test]
fn a_signal_stops_it_in_order_with_exit_status_0_and_it_says_what_is_lost() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    let path = config_file("signal.toml", &config(&url));
    let mut child = command(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line["listening on http://".len()..].split_once(": ").unwrap().0;
    let answer = ask(address, "POST /events", r#"{"type": "order.paid", "payload": {}}"#);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    // The delivery is on its way, and gets no answer.
    let _unanswered = receiver.accept().unwrap();

    let signal = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("unfinished deliveries are lost") && log.contains("lost=1"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    assert!(TcpStream::connect(address).is_err(), "it still listens");
}
