"""What tests share: databases, servers, jobs and runs to try them on. No test module lives here."""
