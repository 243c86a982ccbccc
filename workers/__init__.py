"""Workers: one process serves one model, with as many streams as its server has slots."""
