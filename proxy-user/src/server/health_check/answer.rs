//! The answer to a load balancer, byte for byte as kube-proxy gives it
//! (pkg/proxy/healthcheck/service_health.go).

use crate::model::ObjectName;
use hyper::{Response, StatusCode, header};

/// By which Google's weighted load balancing shares connections out among nodes.
const WEIGHT: &str = "x-load-balancing-endpoint-weight";

/// 200 if this node has ready endpoints and the proxy is healthy, else 503.
pub fn answer(service: &ObjectName, ready: u32, is_healthy: bool) -> Response<String> {
    let mut response = Response::new(body(service, ready, is_healthy));
    if ready == 0 || !is_healthy {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    headers.insert(WEIGHT, ready.into());
    response
}

/// Tabs, and no newline at the end. Names are quoted as Go's `%q` does it; those that Kubernetes allows need
/// no escape.
fn body(service: &ObjectName, ready: u32, is_healthy: bool) -> String {
    let (namespace, name) = (service.namespace.as_str(), service.name.as_str());
    format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": {namespace:?},\n\t\t\"name\": {name:?}\n\t}},\n\
         \t\"localEndpoints\": {ready},\n\t\"serviceProxyHealthy\": {is_healthy}\n}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ready_endpoints_behind_a_healthy_proxy_are_worth_a_200() {
        let name = ObjectName::new("shop", "web");
        for (ready, is_healthy, status) in [(0, true, 503), (1, true, 200), (7, false, 503), (0, false, 503)]
        {
            let answer = answer(&name, ready, is_healthy);
            assert_eq!(answer.status(), status, "{ready} {is_healthy}");
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header("content-type"), "application/json");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("x-load-balancing-endpoint-weight"), ready.to_string());
            assert_eq!(answer.headers().len(), 3);
        }
    }

    /// What kube-proxy's template gives once `dedent` has taken two tabs from every line.
    #[test]
    fn the_body_has_kube_proxys_bytes() {
        let expected = "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n\
                        \t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}";
        assert_eq!(answer(&ObjectName::new("shop", "web"), 2, true).into_body(), expected);
        let json: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(json["service"]["name"], "web");
    }

    #[test]
    fn a_name_cannot_break_out_of_its_quotes() {
        let body = answer(&ObjectName::new("shop", "a\",\n\"b"), 0, true).into_body();
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["service"]["name"], "a\",\n\"b");
    }
}
