//! The causes in the table of failures, each as a store, options and a URL.

use std::any::Any;

use cenote_store::env::Env;
use cenote_store::storage::{Storage, StorageError};
use cenote_testing::faults::{Fault, FaultyStore, RequestKind, Rule};
use cenote_testing::scripted_server::{Request, Scripted, ScriptedServer};
use tempfile::TempDir;

/// Who meets the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Producer,
    Consumer,
}

/// A place where opening fails.
pub(crate) struct Scenario {
    pub(crate) url: String,
    pub(crate) options: Vec<(String, String)>,
    pub(crate) side: Side,
    rules: Vec<Rule>,
    /// Servers and folders live as long as the scenario.
    _kept: Box<dyn Any>,
}

type Make = fn() -> Scenario;

impl Scenario {
    fn new(url: impl Into<String>, options: Vec<(String, String)>, kept: impl Any) -> Scenario {
        Scenario { url: url.into(), options, side: Side::Consumer, rules: Vec::new(), _kept: Box::new(kept) }
    }

    /// A failure of writing: a consumer does not meet it.
    fn of_writing(self) -> Scenario {
        Scenario { side: Side::Producer, ..self }
    }

    /// With an option more, or another value of it.
    fn option(mut self, key: &str, value: &str) -> Scenario {
        self.options.retain(|(known, _)| known != key);
        self.options.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The same at another URL.
    fn at(self, url: &str) -> Scenario {
        Scenario { url: url.to_owned(), ..self }
    }

    pub(crate) fn is_injected(&self) -> bool {
        !self.rules.is_empty()
    }

    pub(crate) async fn storage(&self) -> Result<Storage, StorageError> {
        let storage = Storage::open(&self.url, &self.options).await?;
        let faults = FaultyStore::new(Env::system());
        self.rules.iter().for_each(|rule| faults.add(rule.clone()));
        Ok(if self.is_injected() { faults.wrap(&storage) } else { storage })
    }
}

fn served(server: ScriptedServer) -> Scenario {
    Scenario::new(server.url("catalog"), server.options(), server)
}

fn scripted(script: impl Fn(&Request) -> Option<Scripted> + Send + Sync + 'static) -> Scenario {
    served(ScriptedServer::start(script))
}

/// A server that answers everything so.
fn always(answer: Scripted) -> Scenario {
    scripted(move |_| Some(answer.clone()))
}

fn error(status: &'static str, code: &str, message: &str) -> Scenario {
    always(Scripted::error(status, code, message))
}

/// A server that answers puts so.
fn puts(answer: Scripted) -> Scenario {
    scripted(move |request| (request.method == "PUT").then(|| answer.clone())).of_writing()
}

fn folder(change: impl FnOnce(&std::path::Path)) -> Scenario {
    let folder = TempDir::new().expect("a folder");
    change(folder.path());
    let path = folder.path().join("catalog");
    Scenario::new(path.to_str().expect("it is UTF-8"), Vec::new(), folder)
}

/// A folder whose system answers puts with this error number.
fn system(number: i32) -> Scenario {
    let mut scenario = folder(|_| {}).of_writing();
    scenario.rules.push(Rule::new(Fault::System(number)).on(RequestKind::Create));
    scenario
}

fn memory(name: &str) -> Scenario {
    Scenario::new(format!("memory://{name}"), Vec::new(), ())
}

fn write(base: &std::path::Path, name: &str, bytes: &[u8]) {
    let path = base.join("catalog").join(name);
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("folders can be made");
    std::fs::write(path, bytes).expect("it can be written");
}

const ENTRY: &str = "log/00000000000000000001";
const LOGIN: &str = "<!DOCTYPE html><html><head><title>Log in</title></head><body>Please.</body></html>";

pub(crate) const SCENARIOS: &[(&str, Make)] = &[
    ("a wrong secret", || error("403 Forbidden", "SignatureDoesNotMatch", "The signature does not match.")),
    ("a key that the store does not know", || error("403 Forbidden", "InvalidAccessKeyId", "No such key.")),
    ("an expired session token", || error("400 Bad Request", "ExpiredToken", "The token has expired.")),
    ("a clock that is wrong", || error("403 Forbidden", "RequestTimeTooSkewed", "The difference is too large.")),
    ("a wrong region", || {
        let message = "the region 'us-east-1' is wrong; expecting 'eu-central-1'";
        error("400 Bad Request", "AuthorizationHeaderMalformed", message)
    }),
    ("a bucket in another region", || {
        error("301 Moved Permanently", "PermanentRedirect", "Use the endpoint media.s3.eu-central-1.amazonaws.com.")
    }),
    ("no bucket of that name", || error("404 Not Found", "NoSuchBucket", "The specified bucket does not exist.")),
    ("no permission to read", || error("403 Forbidden", "AccessDenied", "Access Denied")),
    ("no permission to write", || puts(Scripted::error("403 Forbidden", "AccessDenied", "Access Denied"))),
    ("an encryption that the store refuses", || {
        puts(Scripted::error("400 Bad Request", "InvalidArgument", "Server Side Encryption is not supported."))
    }),
    ("a key of KMS that may not be used", || {
        puts(Scripted::error("400 Bad Request", "KMS.DisabledException", "arn:aws:kms:… is disabled."))
    }),
    ("no credentials at all", || {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        memory("none").option("metadata_endpoint", &format!("http://{closed}")).at("s3://media/catalog")
    }),
    ("container credentials set by half", || {
        let uri = "http://127.0.0.1:1/role";
        memory("none").option("aws_container_credentials_full_uri", uri).at("s3://media/catalog")
    }),
    ("conditional puts switched off", || scripted(|_| None).option("aws_conditional_put", "disabled")),
    ("an endpoint without a scheme", || scripted(|_| None).option("aws_endpoint", "minio:9000")),
    ("a port that is none", || scripted(|_| None).option("aws_endpoint", "http://127.0.0.1:99999")),
    ("a line break in a key", || scripted(|_| None).option("aws_access_key_id", "KEY\n")),
    ("a user name in an endpoint", || scripted(|_| None).option("aws_endpoint", "http://user:secret@127.0.0.1")),
    ("a bucket's name with a space", || scripted(|_| None).at("s3://my bucket/catalog")),
    ("a # in a file URL", || memory("none").at("file:///data/catalog#1")),
    ("an option that nothing reads", || scripted(|_| None).option("aws_regoin", "eu-central-1")),
    ("a host that is unknown", || scripted(|_| None).option("aws_endpoint", "http://no-such-host.invalid")),
    ("a certificate that is not trusted", || served(ScriptedServer::start_tls(|_| None))),
    ("https to a port that speaks http", || {
        let server = ScriptedServer::start(|_| None);
        let endpoint = format!("https://127.0.0.1:{}", server.port());
        served(server).option("aws_endpoint", &endpoint)
    }),
    ("http to a port that speaks https", || {
        let server = ScriptedServer::start_tls(|_| None);
        let endpoint = format!("http://127.0.0.1:{}", server.port());
        served(server).option("aws_endpoint", &endpoint)
    }),
    ("a proxy that wants a login", || always(Scripted::Answer("407 Proxy Authentication Required", LOGIN.to_owned()))),
    ("a web page in place of the store", || always(Scripted::Answer("200 OK", LOGIN.to_owned()))),
    ("a web page in place of an entry", || folder(|base| write(base, ENTRY, LOGIN.as_bytes()))),
    ("a foreign file in the log", || folder(|base| write(base, ENTRY, b"#!/bin/sh"))),
    ("a folder that cannot be written", || system(13)),
    ("a file system that is read-only", || system(30)),
    ("a full disk", || system(28)),
    ("a quota that is used up", || puts(Scripted::Answer("507 Insufficient Storage", String::new()))),
    ("a link to nowhere", || {
        folder(|base| std::os::unix::fs::symlink(base.join("gone"), base.join("catalog")).expect("a link"))
    }),
    ("a file where the folder should be", || {
        folder(|base| std::fs::write(base.join("catalog"), "notes").expect("it can be written"))
    }),
    ("a store that throttles", || error("503 Service Unavailable", "SlowDown", "Please reduce your request rate.")),
    ("a store that fails", || error("500 Internal Server Error", "InternalError", "We encountered an error.")),
    ("a server that is down", || {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        scripted(|_| None).option("aws_endpoint", &format!("http://{closed}"))
    }),
    ("a connection that is cut", || always(Scripted::Closed)),
    ("a store that does not answer", || {
        always(Scripted::Silence).option("read_timeout", "200ms").option("max_retries", "1")
    }),
    // The store passes the test that comes first.
    ("a put that gets no answer", || {
        let is_entry = |request: &Request| request.method == "PUT" && request.path.contains("/log/");
        let server = scripted(move |request| is_entry(request).then_some(Scripted::Silence));
        server.of_writing().option("read_timeout", "200ms")
    }),
    ("too many open files", || {
        let mut scenario = folder(|_| {});
        scenario.rules.push(Rule::new(Fault::System(24)));
        scenario
    }),
    ("a dataset that is not there", || folder(|_| {})),
    ("an entry that is damaged", || folder(|base| write(base, ENTRY, b"CENOTE-E\x02\x00 and then something else"))),
];
