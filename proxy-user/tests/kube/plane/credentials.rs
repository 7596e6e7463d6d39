//! Certificates, keys and tokens of a cluster, in files.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use shunt::lab::Scratch;
use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Who may do anything, as kubeadm's admin may.
pub const ADMIN: &str = "admin";
const ADMIN_TOKEN: &str = "admin-token";

/// A certificate authority, what it has signed, and the tokens of users.
pub struct Credentials {
    directory: Scratch,
    authority: Issuer<'static, KeyPair>,
}

impl Credentials {
    /// Makes everything for an API server with these addresses.
    pub fn new(addresses: &[IpAddr]) -> Self {
        let directory = Scratch::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = named("lab-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        directory.write("ca.crt", &params.self_signed(&key).unwrap().pem()).unwrap();
        let authority = Issuer::new(params, key);

        let key = KeyPair::generate().unwrap();
        let mut params = named("kube-apiserver");
        let names = addresses.iter().map(ToString::to_string).chain(["kubernetes.default.svc".to_owned()]);
        params.subject_alt_names =
            CertificateParams::new(names.collect::<Vec<_>>()).unwrap().subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        directory.write("server.crt", &params.signed_by(&key, &authority).unwrap().pem()).unwrap();
        directory.write("server.key", &key.serialize_pem()).unwrap();

        let key = KeyPair::generate().unwrap();
        directory.write("service-accounts.key", &key.serialize_pem()).unwrap();
        directory.write("service-accounts.pub", &key.public_key_pem()).unwrap();
        let credentials = Self { directory, authority };
        credentials.set_tokens(&[]);
        credentials
    }

    /// Tokens and names of users who may do anything, beside the admin. The API server knows them once it is restarted.
    pub fn set_tokens(&self, users: &[(&str, &str)]) {
        let admin = (ADMIN_TOKEN, ADMIN);
        let lines = users.iter().chain([&admin]);
        let lines: String =
            lines.map(|(token, user)| format!("{token},{user},{user},\"system:masters\"\n")).collect();
        write(&self.file("tokens.csv"), &lines);
    }

    /// A file of these: `ca.crt`, `server.crt`, `server.key`, `service-accounts.key`, `service-accounts.pub`,
    /// `tokens.csv`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A kubeconfig for a user with a token, which is read from a file of its own.
    pub fn kubeconfig(&self, user: &str, token: &str, server: &str) -> PathBuf {
        self.set_token(user, token);
        let user_part = json!({ "tokenFile": self.file(&format!("{user}.token")) });
        self.write_kubeconfig(user, &user_part, server)
    }

    /// Replaces the token in the file that a user's kubeconfig names, as a kubelet does when it renews one.
    pub fn set_token(&self, user: &str, token: &str) {
        write(&self.file(&format!("{user}.token")), token);
    }

    /// A kubeconfig for the user who may do anything.
    pub fn admin(&self, server: &str) -> PathBuf {
        self.write_kubeconfig(ADMIN, &json!({ "token": ADMIN_TOKEN }), server)
    }

    /// A kubeconfig for a user with a certificate.
    pub fn kubeconfig_by_certificate(&self, user: &str, group: &str, server: &str) -> PathBuf {
        let key = KeyPair::generate().unwrap();
        let mut params = named(user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = self.file(&format!("{user}.crt"));
        write(&certificate, &params.signed_by(&key, &self.authority).unwrap().pem());
        let key_file = self.file(&format!("{user}.key"));
        write(&key_file, &key.serialize_pem());
        let user_part = json!({ "client-certificate": certificate, "client-key": key_file });
        self.write_kubeconfig(user, &user_part, server)
    }

    fn write_kubeconfig(&self, user: &str, user_part: &serde_json::Value, server: &str) -> PathBuf {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "lab", "cluster": { "server": server, "certificate-authority": self.file("ca.crt") } }],
            "users": [{ "name": user, "user": user_part }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": user } }],
            "current-context": "lab",
        });
        let path = self.file(&format!("{user}.kubeconfig"));
        write(&path, &config.to_string());
        path
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Replaces a file in one step: somebody may be reading it.
pub fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}
