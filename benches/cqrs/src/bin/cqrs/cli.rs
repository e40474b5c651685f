//! The command line.

use std::path::PathBuf;

use cenote_bench_cqrs::Answer;
use cenote_bench_cqrs::domain::World;
use cenote_bench_cqrs::measure::Effort;
use cenote_bench_cqrs::settings::Settings;
use cenote_bench_cqrs::strategy::{BrokerKind, SERVERS, Stage, StoreKind, Strategy, WriteKind};
use clap::{Args, Parser, Subcommand};

/// Compare event-driven read sides with Cenote: one domain, the same commands and queries, the same faults.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) run: Run,
    #[command(subcommand)]
    pub(crate) child: Option<Child>,
}

/// What is run, and on which parts.
#[derive(Args, Clone)]
pub(crate) struct Run {
    /// Only these strategies, such as outbox,cenote-update [default: all].
    #[arg(long, value_delimiter = ',')]
    pub(crate) strategies: Vec<String>,
    #[command(flatten)]
    pub(crate) parts: Parts,
    /// Also run the faults, and report their outcomes.
    #[arg(long)]
    pub(crate) faults: bool,
    /// Run the faults, and measure nothing.
    #[arg(long)]
    pub(crate) only_faults: bool,
    /// Print JSON lines in place of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also write DIR/index.html: charts, faults, and which one to choose.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

/// The parts and sizes, which are passed on to child processes.
#[derive(Args, Clone)]
pub(crate) struct Parts {
    /// Real servers: PostgreSQL as write side and read store, RabbitMQ as broker, unless other parts are given. Start them with
    /// benches/cqrs/services/up.
    #[arg(long)]
    pub(crate) real: bool,
    /// The address of a server, such as `postgres=postgres://me@db/shop`; also of rabbitmq, kafka, nats, redis, cassandra [default:
    /// CENOTE_POSTGRES and so on, then what benches/cqrs/services/up has started].
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = address)]
    pub(crate) server: Vec<(String, String)>,
    /// Where the write side is [default: sqlite, or postgres with --real].
    #[arg(long)]
    pub(crate) write: Option<WriteKind>,
    /// Which broker carries messages [default: embedded, or rabbitmq with --real].
    #[arg(long)]
    pub(crate) broker: Option<BrokerKind>,
    /// Which store projectors fill [default: sqlite, or postgres with --real].
    #[arg(long)]
    pub(crate) store: Option<StoreKind>,
    /// Products in the catalogue [default: 100000, or 10000 with --quick].
    #[arg(long)]
    pub(crate) products: Option<u64>,
    /// Pages [default: a fiftieth of the products].
    #[arg(long)]
    pub(crate) pages: Option<u64>,
    /// Commands per second, one phase each.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rates: Vec<u32>,
    /// Commands that come at once [default: 10000, or 1000 with --quick].
    #[arg(long)]
    pub(crate) burst: Option<u64>,
    /// Seconds per phase of commands [default: 10, or 0.8 with --quick].
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// A first look, within three minutes.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The address of the object server; the run starts one.
    #[arg(long, hide = true)]
    pub(crate) objects: Option<String>,
}

/// The child processes of a run.
#[derive(Subcommand)]
pub(crate) enum Child {
    /// One strategy's turn.
    #[command(hide = true)]
    Turn(Turn),
    /// A process that only reads what a turn left.
    #[command(hide = true)]
    Read(Read),
    /// An object server, for the other processes of a run.
    #[command(hide = true)]
    Objects {
        /// The folder of its files.
        folder: PathBuf,
    },
}

/// One strategy's turn.
#[derive(Args)]
pub(crate) struct Turn {
    /// The strategy's name.
    pub(crate) strategy: String,
    /// The folder of its files.
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) parts: Parts,
}

/// A process that only reads.
#[derive(Args)]
pub(crate) struct Read {
    /// The answers that the turn expects, as JSON.
    pub(crate) expected: String,
    #[command(flatten)]
    pub(crate) turn: Turn,
}

impl Parts {
    pub(crate) fn write(&self) -> WriteKind {
        self.write.unwrap_or(if self.real { WriteKind::Postgres } else { WriteKind::Sqlite })
    }

    fn broker(&self) -> BrokerKind {
        self.broker.unwrap_or(if self.real { BrokerKind::Rabbitmq } else { BrokerKind::Embedded })
    }

    fn store(&self) -> StoreKind {
        self.store.unwrap_or(if self.real { StoreKind::Postgres } else { StoreKind::Sqlite })
    }

    /// The catalogue of the measured run.
    pub(crate) fn world(&self) -> World {
        let products = self.products.unwrap_or(if self.quick { 10_000 } else { 100_000 });
        World::new(products, self.pages.unwrap_or(products / 50).max(1), 42)
    }

    /// A stage in this folder, on the parts that were chosen.
    pub(crate) fn stage(&self, folder: PathBuf, world: World, settings: Settings) -> Stage {
        let mut stage = Stage::embedded(folder, world, settings);
        // The folder is unique to this run, so its name serves at servers, too.
        let own = stage.folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        stage.name = own.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        stage.objects.clone_from(&self.objects);
        stage.servers.clone_from(&self.server);
        (stage.write, stage.broker, stage.store) = (self.write(), self.broker(), self.store());
        stage
    }

    /// How parts are tuned in the measured run.
    pub(crate) fn settings(&self) -> Settings {
        if self.quick { Settings::QUICK } else { Settings::FULL }
    }

    pub(crate) fn effort(&self) -> Effort {
        let mut effort = if self.quick { Effort::quick() } else { Effort::full() };
        effort.rates.clone_from(&self.rates);
        effort.burst = self.burst.unwrap_or(effort.burst);
        effort.phase = self.seconds.map_or(effort.phase, std::time::Duration::from_secs_f64);
        effort
    }

    /// The flags, for a child process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        flag("write", self.write.as_ref().map(value_name));
        flag("broker", self.broker.as_ref().map(value_name));
        flag("store", self.store.as_ref().map(value_name));
        flag("products", self.products.map(|value| value.to_string()));
        flag("objects", self.objects.clone());
        flag("pages", self.pages.map(|value| value.to_string()));
        flag("burst", self.burst.map(|value| value.to_string()));
        flag("seconds", self.seconds.map(|value| value.to_string()));
        flag("rates", Some(self.rates.iter().map(u32::to_string).collect::<Vec<_>>().join(",")));
        arguments.extend(self.server.iter().map(|(name, address)| format!("--server={name}={address}")));
        arguments.extend(self.real.then(|| "--real".to_owned()));
        arguments.extend(self.quick.then(|| "--quick".to_owned()));
        arguments
    }
}

fn address(flag: &str) -> Result<(String, String), String> {
    let (name, address) = flag.split_once('=').ok_or("not of the form NAME=ADDRESS")?;
    if !SERVERS.contains(&name) {
        return Err(format!("there is no server {name}: there are {}", SERVERS.join(", ")));
    }
    Ok((name.to_owned(), address.to_owned()))
}

fn value_name<V: clap::ValueEnum>(value: &V) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

impl Run {
    /// The strategies by name, or `usual`.
    pub(crate) fn strategies(&self, usual: &[Strategy]) -> Answer<Vec<Strategy>> {
        if self.strategies.is_empty() {
            return Ok(usual.to_vec());
        }
        self.strategies.iter().map(|name| find(name)).collect()
    }
}

/// A strategy by name.
pub(crate) fn find(name: &str) -> Answer<Strategy> {
    Strategy::find(name).ok_or_else(|| {
        let known: Vec<_> = Strategy::ALL.iter().map(|strategy| strategy.name()).collect();
        format!("there is no strategy {name}: there are {}", known.join(", ")).into()
    })
}
