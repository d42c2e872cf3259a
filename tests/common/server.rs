//! What the starters of servers share.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A port of the loopback interface that nobody listens at.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Waits until somebody listens at the port. `what` and `log` explain a failure.
pub fn wait_for_port(port: u16, child: &mut Child, what: &str, log: &Path) {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().expect("the child can be asked");
        let is_late = start.elapsed() > Duration::from_secs(20);
        assert!(
            ended.is_none() && !is_late,
            "{what} does not answer ({ended:?}):\n{}",
            fs::read_to_string(log).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets everybody into a folder, and gives it to the user that servers run as when they are started by root.
pub fn hand_over(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
    if is_root() {
        let status = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(folder).status().expect("chown runs");
        assert!(status.success(), "chown {}", folder.display());
    }
}

/// The user and group that servers run as.
pub fn server_user() -> (String, String) {
    if is_root() {
        return ("nobody".to_owned(), "nogroup".to_owned());
    }
    let ask = |flag: &str| {
        let output = Command::new("id").args([flag, "-n"]).output().expect("id runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    (ask("-u"), ask("-g"))
}

/// True for root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Ends a server and its children by its own handling of SIGTERM.
pub fn terminate(child: &mut Child) {
    if let Some(pid) = rustix::process::Pid::from_raw(child.id() as i32) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = child.wait();
}
