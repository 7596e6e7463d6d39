//! Tokens and kubeconfigs of a control plane, in files.

use crate::lab::{LabError, Scratch};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

const ADMIN: &str = "admin";
const ADMIN_TOKEN: &str = "admin-token";

/// Who may use an API server, and how they show it. Certificate and keys are those that the API server makes itself.
#[derive(Debug)]
pub struct Credentials {
    directory: Scratch,
}

impl Credentials {
    pub(super) fn new(users: &[(String, String)]) -> Result<Self, LabError> {
        let credentials = Self { directory: Scratch::new()? };
        credentials.set_users(users)?;
        Ok(credentials)
    }

    /// Tokens and names of users who may do anything, beside the admin. The API server knows them once it is started
    /// again.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_users(&self, users: &[(String, String)]) -> Result<(), LabError> {
        let mut lines = format!("{ADMIN_TOKEN},{ADMIN},{ADMIN},system:masters\n");
        for (token, user) in users {
            lines += &format!("{token},{user},{user},system:masters\n");
        }
        replace(&self.users(), &lines)
    }

    /// A kubeconfig for a user with a token, which is read from a file of its own.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn kubeconfig(&self, user: &str, token: &str, server: &str) -> Result<PathBuf, LabError> {
        self.set_token(user, token)?;
        self.write(user, &json!({ "tokenFile": self.token(user) }), server)
    }

    /// Replaces the token in the file that a user's kubeconfig names, as a kubelet does with a pod's.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_token(&self, user: &str, token: &str) -> Result<(), LabError> {
        replace(&self.token(user), token)
    }

    /// The certificates that clients trust, once the API server has been started.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        // Its own and, after it, that of the authority it has made for itself.
        self.directory().join("apiserver.crt")
    }

    /// A kubeconfig for the user who may do anything.
    pub(super) fn admin(&self, server: &str) -> Result<PathBuf, LabError> {
        self.write(ADMIN, &json!({ "token": ADMIN_TOKEN }), server)
    }

    /// Where the API server has its certificate and keys.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The key that signs tokens of ServiceAccounts.
    pub(super) fn key(&self) -> PathBuf {
        self.directory().join("apiserver.key")
    }

    /// The file of `--token-auth-file`.
    pub(super) fn users(&self) -> PathBuf {
        self.directory().join("users.csv")
    }

    fn token(&self, user: &str) -> PathBuf {
        self.directory().join(format!("{user}.token"))
    }

    fn write(&self, user: &str, user_part: &Value, server: &str) -> Result<PathBuf, LabError> {
        let cluster = json!({ "server": server, "certificate-authority": self.authority() });
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "lab", "cluster": cluster }],
            "users": [{ "name": user, "user": user_part }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": user } }],
            "current-context": "lab",
        });
        let path = self.directory().join(format!("{user}.kubeconfig"));
        replace(&path, &config.to_string())?;
        Ok(path)
    }
}

/// Replaces a file in one step: somebody may be reading it.
fn replace(path: &Path, text: &str) -> Result<(), LabError> {
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| LabError::new("write", path.display(), error))
}
