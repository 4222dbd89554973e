mod not_async {
    #[purlin::main]
    fn main() {}
}

mod arguments {
    #[purlin::main]
    async fn main(arguments: Vec<String>) {}
}

mod options {
    #[purlin::main(workers = 4)]
    async fn main() {}
}

mod contradiction {
    #[purlin::main(flavor = "current_thread", worker_threads = 4)]
    async fn main() {}
}

mod returns {
    #[purlin::main]
    async fn main() -> i64 {
        0
    }
}

fn main() {}
