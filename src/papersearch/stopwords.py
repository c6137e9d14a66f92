"""Words of a query that carry no weight: function words, question words, politeness, and the everyday adverbs and verbs
that only make up a sentence, in both languages. In a small digest few papers hold them, so that their idf is high.

They are left out only where something else is asked for; phrases and the index keep them.
"""

from __future__ import annotations

_ENGLISH = """
a an the of for in on at by to from with without as and or but not is are was were be been being do does did done has
have had can could may might will would shall should must this that these those it its their there here what which who
whom whose when where why how any some about into than then so such via over under between among during per i me my we
our you your he she they them us please show find give tell list search know want need paper papers article articles
work works related using used use uses based regarding concerning propose proposes proposed
if because while although though since until unless before after whether upon onto toward towards against no still
also too very much many more most less just even ever yet already always never often again rather quite really
actually instead together else both each every either neither other others another same own several lot lots itself
themselves himself herself ourselves myself anybody anyone somebody someone anything something everything nothing make
makes made making get gets got getting take takes took taking let lets goes going come comes keep keeps kept happen
happens happened exist exists existing seem seems contain contains containing include includes including needs needed
wants help helps helping try tries trying called said says talk talks thing things way ways kind kinds don doesn didn
isn aren wasn weren cannot
"""

_CHINESE = """
的 了 是 在 和 与 及 或 对 把 被 将 为 于 以 等 也 都 就 而 且 其 该 此 这 那 之 着 过 吗 呢 吧 啊 呀 么 里 中
上 下 有 没 不 又 很 个 篇 种 些 哪 谁 请 我 你 他 它 们 地 得 从 到 由 用 让 使 给 跟 比 向 并 但 若 如 则 即
所 可 能 会 要 想 去 来 什么 怎么 怎样 如何 为何 为什么 哪些 哪个 哪篇 哪种 哪里 哪位 有哪些 有没有 有什么
是什么 是否 能否 可否 可以 关于 有关 相关 对于 以及 或者 还是 因为 所以 如果 但是 而且 并且 这个 那个 这些 那些
这篇 那篇 一个 一种 一篇 一些 请问 请 帮我 帮忙 我想 想要 想找 查找 寻找 找找 搜索一下 介绍一下 论文 文章 文献
工作 提出 提出了 使用 采用 利用 基于 通过 进行 里面 其中 之间 什么样 讲 讲的 讲了 说 说的 谈 谈到 提到 提及 涉及
关系到 研究了 介绍 一下
还 却 才 仍 啥 咋 还有 还会 还能 还要 没有 不用 不要 不能 不会 不是 无法 就是 只是 而是 只有 只要 只能 仅仅 需要 必须
应该 应当 能够 会不会 能不能 是不是 要不要 需不需要 有没有人 有人 有些 有的 怎么办 怎么样 怎么做 怎样才能 为啥 多少
几个 很多 许多 各种 各个 每个 所有 全部 一起 同时 直接 之后 之前 以后 以前 后来 现在 时候 的时候 自己 本身 已经 正在
仍然 依然 总是 一直 非常 特别 十分 办法 做法 东西 事情 情况 给出 得到 做到 变成 成为 知道 了解 看看 觉得 认为 那么
这么 这样 那样 它们 他们 我们 大家 别人 是什么样 有什么用 什么时候 哪儿 到底 究竟 其实 一部分
"""

STOP_WORDS: frozenset[str] = frozenset(_ENGLISH.split()) | frozenset(_CHINESE.split())
