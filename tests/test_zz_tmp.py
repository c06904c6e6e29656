import benchmarks.classify as B
def test_x(postgres_url):
    engine=B.open_engine(postgres_url); B.migrate(engine)
    import time
    B.process_time=time.perf_counter
    for named in (True,False):
        print('pg',named,B.seconds(engine,B.regular(10000,named),f'x{named}'))
    engine.dispose()
