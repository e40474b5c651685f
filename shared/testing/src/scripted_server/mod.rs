//! A small S3 server over HTTP (and TLS, feature `tls`) on loopback that answers as a script says.
//!
//! It holds objects in memory, honours put-if-absent, and checks no signature. The script sees each request first, and may
//! answer it in the server's place: with any status and body, with bytes that are no HTTP, or never. So a test can have
//! the exact words of any store, proxy or firewall.
//!
//! It runs on threads of its own, so that programs in other processes can be tested against it.

#[cfg(feature = "tls")]
mod tls;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[cfg(feature = "tls")]
pub use tls::CA_PEM;

/// The one bucket.
pub const BUCKET: &str = "media";

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the script answers in the server's place.
#[derive(Clone, Debug)]
pub enum Scripted {
    /// A status, like `403 Forbidden`, and a body.
    Answer(&'static str, String),
    /// These bytes, whatever they are; then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing; the connection stays open.
    Silence,
    /// The connection is closed.
    Closed,
}

impl Scripted {
    /// S3's error body with this code and message.
    #[must_use]
    pub fn error(status: &'static str, code: &str, message: &str) -> Scripted {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
             <RequestId>4442587FB7D0A2F9</RequestId></Error>"
        );
        Scripted::Answer(status, body)
    }
}

/// A running server; dropping it closes its port.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    scheme: &'static str,
    inner: Arc<Inner>,
}

type Script = Box<dyn Fn(&Request) -> Option<Scripted> + Send + Sync>;

struct Inner {
    script: Script,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

/// What a connection speaks.
pub(crate) trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

impl ScriptedServer {
    /// Starts a server on a free port of loopback. Where `script` says `None`, the server answers itself.
    pub fn start(script: impl Fn(&Request) -> Option<Scripted> + Send + Sync + 'static) -> ScriptedServer {
        ScriptedServer::start_with("http", Box::new(script), |stream| Some(Box::new(stream)))
    }

    /// The same over TLS, with a certificate of [`CA_PEM`]'s for `127.0.0.1` and `localhost`.
    #[cfg(feature = "tls")]
    pub fn start_tls(script: impl Fn(&Request) -> Option<Scripted> + Send + Sync + 'static) -> ScriptedServer {
        let config = tls::server_config();
        ScriptedServer::start_with("https", Box::new(script), move |stream| tls::accept(&config, stream))
    }

    fn start_with(
        scheme: &'static str,
        script: Script,
        accept: impl Fn(TcpStream) -> Option<Box<dyn Duplex>> + Send + 'static,
    ) -> ScriptedServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let inner = Arc::new(Inner {
            script,
            objects: Mutex::default(),
            requests: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                if let Some(stream) = accept(stream) {
                    let serving = Arc::clone(&serving);
                    std::thread::spawn(move || serve(&serving, stream));
                }
            }
        });
        ScriptedServer { address, scheme, inner }
    }

    /// Where it listens: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of a dataset in the bucket.
    #[must_use]
    pub fn url(&self, dataset: &str) -> String {
        format!("s3://{BUCKET}/{dataset}")
    }

    /// The options with which a program gets there.
    #[must_use]
    pub fn options(&self) -> Vec<(String, String)> {
        let pairs = [
            ("aws_endpoint", self.endpoint()),
            ("aws_region", "us-east-1".to_owned()),
            ("aws_access_key_id", "CENOTETESTKEY".to_owned()),
            ("aws_secret_access_key", "cenote-test-secret".to_owned()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).into()
    }

    /// The requests so far, each as `GET /bucket/key`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.inner.requests.lock().expect("no thread panics while it holds the lock").clone()
    }

    /// The objects, by key within the bucket.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.inner.objects.lock().expect("no thread panics while it holds the lock").clone()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.inner.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers the requests of one connection.
fn serve(inner: &Inner, stream: Box<dyn Duplex>) {
    let mut stream = BufReader::new(stream);
    loop {
        let request = match read_request(&mut stream) {
            Ok(Some(request)) => request,
            Ok(None) => return,
            // As servers answer to what is no HTTP.
            Err(_) => {
                let _ = stream.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
                return;
            }
        };
        let line = format!("{} {}", request.method, request.path);
        inner.requests.lock().expect("no thread panics while it holds the lock").push(line);
        let is_head = request.method == "HEAD";
        let bytes = match (inner.script)(&request) {
            None => inner.answer(&request).to_bytes(is_head),
            Some(Scripted::Answer(status, body)) => {
                Reply { status, headers: Vec::new(), body: body.into() }.to_bytes(is_head)
            }
            Some(Scripted::Raw(bytes)) => {
                let _ = stream.get_mut().write_all(&bytes);
                return;
            }
            Some(Scripted::Silence) => continue,
            Some(Scripted::Closed) => return,
        };
        if stream.get_mut().write_all(&bytes).and_then(|()| stream.get_mut().flush()).is_err() {
            return;
        }
    }
}

/// `None` at the end of the connection.
fn read_request(stream: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Request { method, path, headers, body }))
}

struct Reply {
    status: &'static str,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: &'static str) -> Reply {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    fn error(status: &'static str, code: &str) -> Reply {
        let Scripted::Answer(status, body) = Scripted::error(status, code, "") else { unreachable!("it is an answer") };
        Reply { status, headers: Vec::new(), body: body.into() }
    }

    fn to_bytes(&self, is_head: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", self.status, self.body.len());
        head.extend(self.headers.iter().map(|header| format!("{header}\r\n")));
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl Inner {
    /// What S3 would answer.
    fn answer(&self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let Some(key) = path.strip_prefix(&format!("/{BUCKET}")).map(|key| key.trim_start_matches('/').to_owned())
        else {
            return Reply::error("404 Not Found", "NoSuchBucket");
        };
        let mut objects = self.objects.lock().expect("no thread panics while it holds the lock");
        match request.method.as_str() {
            "GET" if key.is_empty() => listing(&objects, query),
            "GET" | "HEAD" => match objects.get(&key) {
                Some(object) => read(object, request.headers.get("range")),
                None => Reply::error("404 Not Found", "NoSuchKey"),
            },
            "PUT" if request.headers.contains_key("if-none-match") && objects.contains_key(&key) => {
                Reply::error("412 Precondition Failed", "PreconditionFailed")
            }
            "PUT" => {
                objects.insert(key, request.body.clone());
                Reply { headers: vec!["etag: \"1\"".to_owned()], ..Reply::new("200 OK") }
            }
            "DELETE" => {
                objects.remove(&key);
                Reply::new("204 No Content")
            }
            _ => Reply::error("501 Not Implemented", "NotImplemented"),
        }
    }
}

/// An object, or the range of it that `Range: bytes=…` asks for.
fn read(object: &[u8], range: Option<&String>) -> Reply {
    let size = object.len();
    let dates = || vec!["etag: \"1\"".to_owned(), "last-modified: Wed, 21 Oct 2015 07:28:00 GMT".to_owned()];
    let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Reply { headers: dates(), body: object.to_vec(), ..Reply::new("200 OK") };
    };
    let (start, end) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(start), end) => (start, end.map_or(size, |end| size.min(end.saturating_add(1)))),
        (Err(_), suffix) => (size.saturating_sub(suffix.unwrap_or(0)), size),
    };
    if start >= end {
        return Reply::error("416 Range Not Satisfiable", "InvalidRange");
    }
    let mut headers = dates();
    headers.push(format!("content-range: bytes {start}-{}/{size}", end - 1));
    Reply { headers, body: object[start..end].to_vec(), ..Reply::new("206 Partial Content") }
}

fn listing(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Reply {
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or("").replace("%2F", "/")
    };
    let (prefix, after) = (parameter("prefix"), parameter("start-after"));
    let listed = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
    let contents = listed.map(|(key, object)| {
        format!(
            "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2015-10-21T07:28:00.000Z</LastModified>\
             <ETag>\"1\"</ETag></Contents>",
            object.len()
        )
    });
    let body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
        contents.collect::<String>()
    );
    Reply { body: body.into(), ..Reply::new("200 OK") }
}
