//! The configuration of nginx: the minimum for the same page, in a folder of its own.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use crate::Failure;
use crate::scratch::{Scratch, unwritable};

/// The configuration. One process does all the work, so the benchmark can watch and end that process. Without `-p` and the
/// names of folders, nginx would write to the folders of a service of the system.
const CONFIGURATION: &str = r#"daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {
    worker_connections 16384;
}
http {
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type "text/html; charset=utf-8";
    server {
        listen 127.0.0.1:PORT backlog=1024;
        location / {
            return 200 "<html><body>Hello World</body></html>\r\n\r\n";
        }
    }
}
"#;

/// Writes the configuration for `port`, and returns the command.
pub(crate) fn command(program: &Path, port: u16, scratch: &Scratch) -> Result<Vec<OsString>, Failure> {
    let file = scratch.join("nginx.conf");
    let written = scratch.create("nginx.conf")?.write_all(configuration(port).as_bytes());
    written.map_err(|error| unwritable(&file, &error))?;
    let mut command: Vec<OsString> = vec![program.into(), "-p".into(), scratch.join("").into()];
    command.extend(["-e".into(), "stderr".into(), "-c".into(), file.into()]);
    Ok(command)
}

/// The configuration with this port.
fn configuration(port: u16) -> String {
    CONFIGURATION.replace("PORT", &port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_sends_the_page_of_the_component() {
        let Ok(hello_server::http::Parsed::Complete(head, _)) =
            hello_server::http::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        else {
            panic!("it is a request")
        };
        let answer = hello_server::hello::answer(&head.request);
        let page = String::from_utf8_lossy(answer.body()).escape_debug().to_string();
        assert!(configuration(1).contains(&format!("return 200 \"{page}\";")), "{page}");
        assert!(configuration(7).contains("listen 127.0.0.1:7 "));
    }
}
