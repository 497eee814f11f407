import os, collections, re, time, copy
from hypothesis import HealthCheck, given, settings, Phase, seed, strategies as st
from tests.pipelines.two_databases import two_databases
from tests.oracle.hospital import migrations
from tests.oracle.server import carry_out, disagreements
import pipelines.context as M
from transforms.plan_partitions import PartitionBounds
N=int(os.environ.get("N","40")); S=int(os.environ.get("S","1"))
def test_x(server, tmp_path, monkeypatch):
    kinds=collections.defaultdict(list); cnt=collections.Counter()
    with two_databases(server, tmp_path) as db:
        @seed(S)
        @settings(max_examples=N, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
        @given(st.data())
        def go(data):
            m=data.draw(migrations(int(os.environ.get("H","1")), int(os.environ.get("MOST","8"))))
            rows=data.draw(st.sampled_from([2,100000]))
            monkeypatch.setattr(M,"PartitionBounds",lambda bytes: PartitionBounds(rows=rows,bytes=bytes))
            cnt['n']+=1
            t=time.time()
            try: m.run()
            except Exception as e:
                import traceback
                kinds['oracle crash '+repr(e)[:100]].append((m.spec, traceback.format_exc())); return
            for l,cs in m.candidates.items():
                for c in cs:
                    cnt['rows']+=1; cnt['accepted']+=c.accepted; cnt['skipped']+=c.skipped_by is not None
                    for v in c.violations: cnt[f"{v.code} {v.reason}{' w' if v.warning else ''}"]+=1
            try: job,out=carry_out(db,m)
            except BaseException as e:
                if isinstance(e,KeyboardInterrupt): raise
                import traceback
                kinds['crash '+type(e).__name__+' '+re.sub(r"/tmp\S*|'\w+'|\d+","X",str(e))[:300]].append((m.spec,traceback.format_exc()[-1500:])); return
            cnt['parts']+=sum(t.partitions for t in out.summary.tables.values())
            for d in disagreements(db,m,job,out):
                kinds[re.sub(r"'\d+'|'S\d'|'P\d'|'\[.*?\]'|\b\d+\b","#",re.sub(r"h\d_","",d))[:160]].append((rows,d,m))
        go()
    f=open("/tmp/w/oracle/server.txt","w")
    print(dict(cnt),file=f)
    for k,v in sorted(kinds.items(), key=lambda kv:-len(kv[1])):
        print(len(v),k,file=f)
        x=v[0]
        if k.startswith(("crash","oracle crash")): print("     ",x[0],x[1],file=f)
        else:
            m=x[2]; print("     rows",x[0],x[1],file=f)
            import yaml; print(yaml.safe_dump(dict(m.spec),sort_keys=False,default_flow_style=None,width=200,allow_unicode=True),file=f)
            for n,s in m.sources.items():
                print("      ",n,file=f)
                [print('          ', *(f'{k}={r[k]!r}' for k in s.columns),file=f) for r in s.rows]
            print("       before",{n:t.before for n,t in m.targets.items()},file=f)
