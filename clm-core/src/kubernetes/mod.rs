//! Logging in as a service account of a Kubernetes cluster, whose API server is asked about each token (`TokenReview`,
//! authentication.k8s.io/v1).

mod config;
mod login;
mod review;
mod role;

// The public interface is:
pub use config::{KubernetesConfig, KubernetesConfigChange};
pub use login::KubernetesLogin;
pub use role::{KubernetesRole, KubernetesRoleChange};
