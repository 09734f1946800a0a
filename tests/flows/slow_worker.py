from tests.gmt_tasks.fake_screener import make_fake
def slow(model, device, symprec): return make_fake(delay_s=0.2)
