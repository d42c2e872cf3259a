//! A ManageSieve server of a test: scripts in memory, honest unless a test changes an answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// Gets each command, the bytes of its script behind it, and gives another answer. One that ends with `CLOSE` ends the
/// connection; what is behind `DONE ` is said once the command was done.
type Hook = Box<dyn FnMut(&str) -> Option<String> + Send>;

/// The account, and what was said.
pub(crate) struct State {
    pub scripts: BTreeMap<String, String>,
    pub active: String,
    pub hook: Hook,
    said: Vec<String>,
}

/// The server.
pub(crate) struct FakeSieve {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl FakeSieve {
    /// Serves these scripts; `more` are further lines of its capabilities.
    pub(crate) fn start(more: &'static str, scripts: &[(&str, &str)]) -> FakeSieve {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let scripts = scripts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let state = State { scripts, active: String::new(), hook: Box::new(|_| None), said: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that hangs up is what many tests want.
                std::thread::spawn(move || serve(stream, more, &state).ok());
            }
        });
        FakeSieve { port, state }
    }

    /// The account, to change it.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a lock")
    }

    /// Changes answers from now on.
    pub(crate) fn hook(&self, hook: impl FnMut(&str) -> Option<String> + Send + 'static) {
        self.state().hook = Box::new(hook);
    }

    /// The commands since the last call, a line each.
    pub(crate) fn said(&self) -> String {
        std::mem::take(&mut self.state().said).join("\n")
    }
}

fn serve(stream: TcpStream, more: &str, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(format!("\"IMPLEMENTATION\" \"fake\"\r\n\"SASL\" \"PLAIN\"\r\n{more}OK\r\n").as_bytes())?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut command = line.trim_end().to_owned();
        let mut script = String::new();
        if let Some((head, size)) = command.clone().strip_suffix("+}").and_then(|head| head.rsplit_once('{')) {
            let mut bytes = vec![0; size.parse().expect("a size")];
            reader.read_exact(&mut bytes)?;
            reader.read_line(&mut String::new())?;
            script = String::from_utf8(bytes).expect("text");
            command = head.trim_end().to_owned();
        }
        let reply = {
            let mut state = state.lock().expect("a lock");
            state.said.push(command.clone());
            let hooked = (state.hook)(&format!("{command} {script}"));
            match hooked {
                Some(reply) => match reply.strip_prefix("DONE ") {
                    Some(reply) => {
                        state.answer(&command, script);
                        reply.to_owned()
                    }
                    None => reply,
                },
                None => state.answer(&command, script),
            }
        };
        let is_last = reply.ends_with("CLOSE");
        writer.write_all(reply.strip_suffix("CLOSE").unwrap_or(&reply).as_bytes())?;
        if is_last {
            return Ok(());
        }
    }
}

impl State {
    fn answer(&mut self, command: &str, script: String) -> String {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let name = rest.split('"').nth(1).unwrap_or_default().to_owned();
        match word {
            "LISTSCRIPTS" => {
                let line =
                    |name: &String| format!("\"{name}\"{}\r\n", if *name == self.active { " ACTIVE" } else { "" });
                self.scripts.keys().map(line).collect::<String>() + "OK\r\n"
            }
            "GETSCRIPT" => match self.scripts.get(&name) {
                Some(text) => format!("{{{}}}\r\n{text}\r\nOK\r\n", text.len()),
                None => "NO (NONEXISTENT) \"none\"\r\n".to_owned(),
            },
            "PUTSCRIPT" => {
                self.scripts.insert(name, script);
                "OK\r\n".to_owned()
            }
            "SETACTIVE" => {
                self.active = name;
                "OK\r\n".to_owned()
            }
            "DELETESCRIPT" if name == self.active => "NO (ACTIVE) \"it is active\"\r\n".to_owned(),
            "DELETESCRIPT" => {
                self.scripts.remove(&name);
                "OK\r\n".to_owned()
            }
            "LOGOUT" => "OK\r\nCLOSE".to_owned(),
            _ => "OK\r\n".to_owned(),
        }
    }
}
