mod memory;
mod whole;
