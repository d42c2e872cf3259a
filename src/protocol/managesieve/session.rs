//! What a source needs of a server, whatever becomes of the connections.

use super::client::{Client, Fetched, Script};
use crate::error::Result;
use crate::protocol::Account;
use crate::protocol::retry::Backoff;

/// An account on a server. Connects when it is asked something, and again when a connection broke.
pub struct Session {
    account: Account,
    client: Option<Client>,
}

/// Asks once, with a connection made if there is none, and again as long as the failure is one that time heals.
macro_rules! with_retries {
    ($session:ident, $client:ident => $question:expr) => {{
        let mut backoff = Backoff::new($session.account.max_retries);
        loop {
            let answer = match $session.connected().await {
                Ok($client) => $question.await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => break Ok(answer),
                Err(error) => {
                    $session.client = None;
                    let what = error.to_string();
                    if let Err(error) = backoff.wait(error, None).await {
                        break Err(error);
                    }
                    $session.account.connector.log(1, || format!("trying again: {what}"));
                }
            }
        }
    }};
}

impl Session {
    /// Nothing is sent before the first question.
    pub fn new(account: Account) -> Session {
        Session { account, client: None }
    }

    /// All scripts, without their bytes.
    pub async fn list_scripts(&mut self) -> Result<Vec<Script>> {
        with_retries!(self, client => client.list_scripts())
    }

    /// The bytes of a script.
    pub async fn get_script(&mut self, name: &[u8]) -> Result<Fetched> {
        let fetched: Result<Fetched> = with_retries!(self, client => client.get_script(name));
        self.client.take_if(|client| client.is_broken());
        fetched
    }

    /// Logs out, if there is a connection.
    pub async fn close(&mut self) {
        if let Some(client) = self.client.take() {
            client.close().await;
        }
    }

    async fn connected(&mut self) -> Result<&mut Client> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::open(&self.account).await?,
        };
        Ok(self.client.insert(client))
    }
}
