//! Alluxio processes of a test's own, beside those of the world, so that no test disturbs another.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

/// The user and group of the published image, which all Alluxio processes of the world run as: what they make in
/// the shared under store must stay writable for each other.
const IMAGE_ID: u32 = 1000;
type Properties = HashMap<&'static str, String>;

const WORKER: &str = "alluxio.worker.AlluxioWorker";
const JOB_WORKER: &str = "alluxio.worker.AlluxioJobWorker";
const MASTER: &str = "alluxio.master.AlluxioMaster";
const FORMAT: &str = "alluxio.cli.Format";

/// The quota of each of a worker's two tier directories. A write reserves a block of 64 MB at once, and evicts others if there
/// is no room for it, persisted or not.
pub(crate) const TIER_BYTES: u64 = 512 << 20;

/// Prints the command line of a JVM of the local world: its class path, its size, its user, and that it ends with its
/// parent.
const COMMAND: &str = r#"
import json, sys
from pathlib import Path
from world.alluxio import jvm
asked = json.load(sys.stdin)
runtime = jvm.Runtime.of_tools(Path(asked["tools"]))
command = runtime.command(asked["main"], asked["properties"], heap_mb=128, arguments=asked["arguments"])
print(json.dumps(jvm.confined(command)))
"#;

/// A process that ends with the test.
struct Process(Child);

impl Process {
    /// Starts a main class with these properties in a directory.
    fn start(home: &Path, main: &str, arguments: &[&str], properties: &Properties) -> Self {
        let log = File::create(home.join(format!("{main}.log"))).expect("a log file");
        let command = command(main, arguments, properties);
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the world's tools are installed");
        Self(child)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.0.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error is one that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes with the test, but stays for the developer if that failed.
struct Home(PathBuf);

impl Home {
    fn new(name: &str, directories: &[&str]) -> Self {
        let home = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        for directory in ["", "logs", "tmp"].iter().chain(directories) {
            let directory = home.join(directory);
            fs::create_dir_all(&directory).expect("a directory");
            if is_root() {
                chown(&directory, Some(IMAGE_ID), Some(IMAGE_ID)).expect("a directory of the image's user");
            }
        }
        Self(home)
    }

    fn of(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Where everything that is written stays here, and no file of the developer's has a say.
    fn properties(&self) -> Properties {
        Properties::from([
            ("alluxio.home", self.of("")),
            ("alluxio.logs.dir", self.of("logs")),
            ("alluxio.conf.dir", self.of("")),
            ("alluxio.site.conf.dir", self.of("")),
            ("alluxio.tmp.dirs", self.of("tmp")),
        ])
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs are in {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A worker and a job worker on an address of their own, with two tier directories of [`TIER_BYTES`].
pub(crate) struct TestWorker {
    /// Its host, as it registers.
    pub(crate) host: String,
    properties: Properties,
    worker: Process,
    job_worker: Option<Process>,
    home: Home,
}

impl TestWorker {
    /// Starts it; it registers within seconds. `master` is `host:port`.
    pub(crate) fn start(host: String, master: &str, with_jobs: bool) -> Self {
        Self::with_directories(host, master, with_jobs, "tier-1")
    }

    /// The same with another quota of each directory, and without a job worker.
    pub(crate) fn with_quota(host: String, master: &str, tier_bytes: u64) -> Self {
        Self::made(host, master, false, "tier-1", tier_bytes)
    }

    /// The same with another second directory, below a path of which there is a file `a-file`.
    pub(crate) fn with_directories(host: String, master: &str, with_jobs: bool, second: &str) -> Self {
        Self::made(host, master, with_jobs, second, TIER_BYTES)
    }

    fn made(host: String, master: &str, with_jobs: bool, second: &str, tier_bytes: u64) -> Self {
        let home = Home::new(&format!("worker-{host}"), &["tier-0", "tier-1"]);
        fs::write(home.0.join("a-file"), "no directory").expect("a file");
        let (master_host, master_port) = master.split_once(':').expect("host:port");
        let mut properties = home.properties();
        for key in [
            "alluxio.worker.hostname",
            "alluxio.worker.bind.host",
            "alluxio.worker.web.hostname",
            "alluxio.worker.web.bind.host",
            "alluxio.job.worker.hostname",
            "alluxio.job.worker.bind.host",
            "alluxio.job.worker.web.hostname",
            "alluxio.job.worker.web.bind.host",
            "alluxio.user.hostname",
        ] {
            properties.insert(key, host.clone());
        }
        properties.extend([
            ("alluxio.master.hostname", master_host.to_owned()),
            ("alluxio.master.rpc.port", master_port.to_owned()),
            ("alluxio.job.master.hostname", master_host.to_owned()),
            ("alluxio.security.login.username", "alluxio".to_owned()),
            ("alluxio.worker.ramdisk.size", "16MB".to_owned()),
            ("alluxio.worker.tieredstore.levels", "1".to_owned()),
            ("alluxio.worker.tieredstore.level0.alias", "SSD".to_owned()),
            (
                "alluxio.worker.tieredstore.level0.dirs.mediumtype",
                "SSD,SSD".to_owned(),
            ),
            (
                "alluxio.worker.tieredstore.level0.dirs.path",
                format!("{},{}", home.of("tier-0"), home.of(second)),
            ),
            (
                "alluxio.worker.tieredstore.level0.dirs.quota",
                format!("{tier_bytes},{tier_bytes}"),
            ),
        ]);
        let worker = Process::start(&home.0, WORKER, &[], &properties);
        let job_worker = with_jobs.then(|| Process::start(&home.0, JOB_WORKER, &[], &properties));
        Self {
            host,
            properties,
            worker,
            job_worker,
            home,
        }
    }

    /// A directory below its home.
    pub(crate) fn directory(&self, name: &str) -> String {
        self.home.of(name)
    }

    /// The same, and meanwhile its disk loses a block.
    pub(crate) fn restart_without(&mut self, block: i64) {
        self.stop();
        let lost = ["tier-0", "tier-1"].map(|tier| {
            let file = self
                .home
                .0
                .join(tier)
                .join("alluxioworker")
                .join(block.to_string());
            fs::remove_file(file).is_ok()
        });
        assert!(lost.contains(&true), "block {block} is on none of its disks");
        self.begin();
    }

    /// Kills the worker process and starts it again on the same directories, as a container is.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.begin();
    }

    fn stop(&mut self) {
        drop(self.job_worker.take());
        self.worker.signal("KILL");
        let _ = self.worker.0.wait();
    }

    fn begin(&mut self) {
        self.worker = Process::start(&self.home.0, WORKER, &[], &self.properties);
    }
}

/// A master of a test's own, with nothing in it.
pub(crate) struct TestMaster {
    /// `host:port`.
    pub(crate) address: String,
    master: Process,
    _home: Home,
}

impl TestMaster {
    /// Formats its journal and starts it; it serves some seconds later. `authentication`: SIMPLE or NOSASL.
    pub(crate) fn start(host: &str, authentication: &str) -> Self {
        let home = Home::new(&format!("master-{host}"), &["ufs"]);
        let mut properties = home.properties();
        for key in [
            "alluxio.master.hostname",
            "alluxio.master.bind.host",
            "alluxio.master.web.hostname",
            "alluxio.master.web.bind.host",
            "alluxio.job.master.hostname",
        ] {
            properties.insert(key, host.to_owned());
        }
        properties.extend([
            ("alluxio.security.authentication.type", authentication.to_owned()),
            ("alluxio.security.login.username", "alluxio".to_owned()),
            ("alluxio.master.mount.table.root.ufs", home.of("ufs")),
            ("alluxio.master.journal.type", "UFS".to_owned()),
            ("alluxio.master.journal.folder", home.of("journal")),
            (
                "alluxio.master.journal.tailer.shutdown.quiet.wait.time",
                "100ms".to_owned(),
            ),
            ("alluxio.master.metastore", "HEAP".to_owned()),
            ("alluxio.master.worker.connect.wait.time", "3s".to_owned()),
            ("alluxio.master.update.check.enabled", "false".to_owned()),
        ]);
        let formatted = Process::start(&home.0, FORMAT, &["master"], &properties)
            .0
            .wait()
            .expect("it ends");
        assert!(
            formatted.success(),
            "the journal could not be formatted: {}",
            home.of(FORMAT)
        );
        let master = Process::start(&home.0, MASTER, &[], &properties);
        Self {
            address: format!("{host}:19998"),
            master,
            _home: home,
        }
    }

    /// Makes it stand still, as in a long collection: it takes connections and answers nothing.
    pub(crate) fn pause(&self) {
        self.master.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.master.signal("CONT");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn command(main: &str, arguments: &[&str], properties: &Properties) -> Vec<String> {
    let variable = "TIDEGATE_TOOLS";
    let tools = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} must name the directory that infra/local/setup/install.sh prints")
    });
    let asked = json!({ "tools": tools, "main": main, "arguments": arguments, "properties": properties });
    let mut python = Command::new(Path::new(&tools).join("bin/python3"))
        .args(["-c", COMMAND])
        .env(
            "PYTHONPATH",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../infra/local"),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{variable} names {tools}: {error}"));
    python
        .stdin
        .take()
        .expect("a pipe")
        .write_all(asked.to_string().as_bytes())
        .expect("it reads");
    let answer = python.wait_with_output().expect("it ends");
    assert!(
        answer.status.success(),
        "the world's Alluxio does not say how it is run"
    );
    serde_json::from_slice(&answer.stdout).expect("a command line")
}
